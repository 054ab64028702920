"""What Liger's kernels keep for their backward pass, instead of what `ops.py` counts for transformers' own.

Read from liger-kernel 0.8.5 `ops/rms_norm.py`, `ops/swiglu.py`, `ops/geglu.py` and `ops/rope.py`.
"""

from __future__ import annotations

from loratui.core.memory.ops import Layers
from loratui.core.memory.tape import Value


def fused_norm(run: Layers, x: Value, *, groups: int = 1, in_place: bool = False) -> Value:
    """RMSNorm in one kernel: keeps its input as it is and the reciprocal roots in float32; the result has the input's
    format.

    in_place: the input's gradient is written over that of the result, as where a norm stands before attention and MLP.
    """
    roots = run.tape.constant(run.tokens * groups * 4)
    output = run.tensor(x.width, x.element, tracked=x.tracked or run.form.full)
    return run.tape.record(
        (x,),
        output,
        (x.storage, roots),
        weight_gradient=x.width // groups * run.form.weight if run.form.full else 0,
        passes_gradient=in_place,
        saves_weight=True,
    )


def fused_gate(run: Layers, gate: Value, up: Value, *, halves: bool = False) -> Value:
    """`activation(gate) * up` in one kernel: keeps both, and writes their gradients over them.

    halves: both are halves of one tensor, of which the kernel is given copies.
    """
    if halves:
        gate, up = (
            run.tape.record((one,), run.tensor(one.width, one.element, tracked=one.tracked)) for one in (gate, up)
        )
    output = run.tensor(gate.width, gate.element, tracked=gate.tracked or up.tracked)
    kept = (gate.storage, up.storage)
    over = -(gate.size + up.size) if gate.tracked and up.tracked else 0
    return run.tape.record((gate, up), output, kept, backward_extra=over)


def rotate_in_place(run: Layers, x: Value) -> Value:
    """Rotary position embedding written over queries or keys, forward and backward; the sines are shared."""
    return run.tape.view(x, x.width)
