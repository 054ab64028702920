"""A real training step on fake tensors: the real model class, real adapters, the trainer's real loss, no weights, no
GPU.

storages   which storages live, how many bytes at once, and who made them
cuda       what a CUDA device does otherwise than a CPU: autocast's list, fused attention, fused dropout, Triton's loss
fakes      patches that let modules be built and moved with fake parameters
quantised  bitsandbytes layers on fake tensors
build      model, adapter and loss from a config and a plan
step       forward, backward, optimizer, evaluation: the peaks
"""
