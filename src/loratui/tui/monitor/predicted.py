"""The memory that the calculation predicts for a run, to stand beside what was measured."""

from __future__ import annotations

from dataclasses import replace

from loratui.core.plan import Plan
from loratui.tui.monitor.record import RunRecord


def predicted_bytes(plan: Plan, record: RunRecord) -> int | None:
    """The predicted peak in bytes with the run's real row lengths; None where model or machine cannot be found any more.

    Slow (NVML, files): for a thread.
    """
    from loratui.core.dataset import uniform
    from loratui.core.errors import LoratuiError
    from loratui.core.measured import learned_memory
    from loratui.core.memory import estimate
    from loratui.machine.detect import detect_machine
    from loratui.machine.device import device_for
    from loratui.models.find import find_model
    from loratui.runs.measured import read_measurements

    if record.data is None or not record.data.longest_tokens:
        return None
    try:
        found = find_model(plan.model.id, revision=plan.model.revision, online=False)
        device = device_for(detect_machine(), plan.hardware.devices, cpu=plan.hardware.cpu)
        began = record.started.time if record.started is not None else 0.0
        earlier = [one for one in read_measurements() if one.time < began]
        learned = learned_memory(earlier, device=device.name, family=found.spec.family)
        device = replace(device, learned=learned)
        told = record.data
        share = told.trained_tokens / told.tokens if told.tokens else 1.0
        rows = replace(uniform(max(1, told.examples), told.longest_tokens), trained_share=share)
        return estimate(found.spec, plan, rows, device).total_bytes
    except (LoratuiError, OSError):
        return None
