"""Learning rates of full fine-tuning that others published, each with where it stands.

Read in the files named, 2026-11. Batches are rows of an optimizer step; where a configuration leaves the number of GPUs
open, it is counted for one.
"""

from __future__ import annotations

from typing import NamedTuple


class PublishedRate(NamedTuple):
    """One recipe: the model's parameters, its peak learning rate, its rows a step, and the file that says so."""

    model: str
    parameters: float
    rate: float
    batch: int
    link: str


_HANDBOOK = "https://github.com/huggingface/alignment-handbook/blob/main/recipes"
_INSTRUCT = "https://github.com/allenai/open-instruct/blob/main"
_TUNE = "https://github.com/pytorch/torchtune/blob/main/recipes/configs"
_FACTORY = "https://github.com/hiyouga/LLaMA-Factory/blob/main/examples"

FULL_RATES: tuple[PublishedRate, ...] = (
    PublishedRate("SmolLM2-135M", 0.135e9, 1e-3, 128, f"{_HANDBOOK}/smollm2/sft/config_smol.yaml"),
    PublishedRate("SmolLM2-360M", 0.362e9, 1e-3, 128, f"{_HANDBOOK}/smollm2/sft/config_smol.yaml"),
    PublishedRate("SmolLM2-1.7B", 1.71e9, 3e-4, 128, f"{_HANDBOOK}/smollm2/sft/config.yaml"),
    PublishedRate("SmolLM3-3B", 3.08e9, 2e-5, 128, f"{_HANDBOOK}/smollm3/sft/sft.yaml"),
    PublishedRate("Zephyr (Mistral-7B)", 7.24e9, 2e-5, 128, f"{_HANDBOOK}/zephyr-7b-beta/sft/config_full.yaml"),
    PublishedRate("Zephyr (Gemma-7B)", 8.54e9, 2e-5, 128, f"{_HANDBOOK}/zephyr-7b-gemma/sft/config_full.yaml"),
    PublishedRate("StarChat2 (StarCoder2-15B)", 16.0e9, 2e-5, 128, f"{_HANDBOOK}/starchat2-15b/sft/config_v0.1.yaml"),
    PublishedRate("OLMo-2-1B", 1.48e9, 3e-5, 128, f"{_INSTRUCT}/docs/olmo2.md"),
    PublishedRate("OLMo-2-7B", 7.30e9, 1e-5, 128, f"{_INSTRUCT}/configs/train_configs/olmo2/olmo2_1124_7b_sft.yaml"),
    PublishedRate("OLMo-2-13B", 13.7e9, 6e-6, 128, f"{_INSTRUCT}/configs/train_configs/olmo2/olmo2_1124_13b_sft.yaml"),
    PublishedRate("Tulu 2 7B", 6.74e9, 2e-5, 128, f"{_INSTRUCT}/configs/train_configs/sft/tulu2_7b.yaml"),
    PublishedRate("Tulu 2 13B", 13.0e9, 2e-5, 128, f"{_INSTRUCT}/configs/train_configs/sft/tulu2_13b.yaml"),
    PublishedRate("Tulu 2 70B", 69.0e9, 1e-5, 128, f"{_INSTRUCT}/configs/train_configs/sft/tulu2_70b.yaml"),
    PublishedRate("Tulu 3 8B", 8.03e9, 5e-6, 128, f"{_INSTRUCT}/docs/tulu3.md"),
    PublishedRate("Tulu 3 70B", 70.6e9, 2e-6, 128, f"{_INSTRUCT}/docs/tulu3.md"),
    PublishedRate("torchtune Qwen2.5-0.5B", 0.494e9, 2e-5, 16, f"{_TUNE}/qwen2_5/0.5B_full_single_device.yaml"),
    PublishedRate("torchtune Qwen3-0.6B", 0.596e9, 2e-5, 16, f"{_TUNE}/qwen3/0.6B_full_single_device.yaml"),
    PublishedRate("torchtune Llama-3.2-1B", 1.24e9, 2e-5, 4, f"{_TUNE}/llama3_2/1B_full_single_device.yaml"),
    PublishedRate("torchtune Qwen2.5-1.5B", 1.54e9, 2e-5, 4, f"{_TUNE}/qwen2_5/1.5B_full_single_device.yaml"),
    PublishedRate("torchtune Qwen3-1.7B", 1.72e9, 2e-5, 4, f"{_TUNE}/qwen3/1.7B_full_single_device.yaml"),
    PublishedRate("torchtune Llama-3.2-3B", 3.21e9, 2e-5, 4, f"{_TUNE}/llama3_2/3B_full_single_device.yaml"),
    PublishedRate("torchtune Qwen2.5-3B", 3.09e9, 5e-6, 2, f"{_TUNE}/qwen2_5/3B_full_single_device.yaml"),
    PublishedRate("torchtune Qwen2.5-7B", 7.62e9, 5e-6, 2, f"{_TUNE}/qwen2_5/7B_full_single_device.yaml"),
    PublishedRate("torchtune Llama-3.1-8B", 8.03e9, 2e-5, 2, f"{_TUNE}/llama3_1/8B_full_single_device.yaml"),
    PublishedRate("torchtune Phi-4", 14.7e9, 5e-6, 2, f"{_TUNE}/phi4/14B_full_low_memory.yaml"),
    PublishedRate("LLaMA-Factory Qwen3-4B", 4.02e9, 1e-5, 2, f"{_FACTORY}/train_full/qwen3_full_sft.yaml"),
    PublishedRate("LLaMA-Factory Qwen3.5-4B", 4.2e9, 1e-5, 8, f"{_FACTORY}/ascend/qwen3_5_full_sft_fsdp2.yaml"),
    PublishedRate("LLaMA-Factory Qwen3-8B", 8.19e9, 1e-5, 8, f"{_FACTORY}/ascend/qwen3_full_sft_fsdp2.yaml"),
    PublishedRate("Qwen-7B", 7.72e9, 1e-5, 16, "https://github.com/QwenLM/Qwen/blob/main/finetune/finetune_ds.sh"),
)

TINKER = "https://github.com/thinking-machines-lab/tinker-cookbook/blob/main"
TINKER_FORMULA = f"{TINKER}/tinker_cookbook/hyperparam_utils.py"
TINKER_SWEEP = f"{TINKER}/tinker_cookbook/recipes/chat_sl/results/sft_sweep.md"
