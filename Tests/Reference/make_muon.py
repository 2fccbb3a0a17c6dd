"""Writes a recorded trajectory of torch.optim.Muon, with torch.optim.AdamW for what is no hidden matrix.

Tensors: `parameter.NAME` where training begins, `input.gradient.NAME` the gradients of all steps, and
`result.parameter.NAME` the parameters after each step; the first axis of the last two counts steps.
PyTorch orthogonalises in bfloat16. Here it does so in float64, and everything is rounded to float32 once, so that an
error against the file is the implementation's own; `bfloat16_difference` in the notes is how far PyTorch's own
trajectory ends from this one.
"""

import argparse
import inspect
import json
import pathlib
import zlib

import numpy as np
import torch
from safetensors.torch import save_file
from torch.optim import _muon

STEPS = 10
RATES = [0.02 * (1 - step / STEPS) for step in range(STEPS)]
DECAY = 0.1
MATRICES = dict(wide=(5, 12), tall=(14, 6), square=(8, 8), kernel=(6, 4, 3, 3))
OTHERS = dict(bias=(7,), table=(9, 4))
SOURCE = inspect.getsource(_muon._zeropower_via_newtonschulz)


def orthogonalise_in(kind):
    """PyTorch's own function with other numbers in place of bfloat16."""
    assert SOURCE.count("torch.bfloat16") == 1
    scope = dict(vars(_muon))
    exec(SOURCE.replace("torch.bfloat16", kind), scope)
    return scope["_zeropower_via_newtonschulz"]


def trajectory(start, gradients, kind):
    """The parameters after each step, each matrix in two axes as the optimiser wants them."""
    _muon._zeropower_via_newtonschulz = orthogonalise_in(kind)
    flat = {k: torch.nn.Parameter(v.double().reshape(v.shape[0], -1) if k in MATRICES else v.double())
            for k, v in start.items()}
    muon = torch.optim.Muon(
        [flat[k] for k in MATRICES], lr=RATES[0], weight_decay=DECAY, momentum=0.95, nesterov=True, ns_steps=5,
        adjust_lr_fn="match_rms_adamw",
    )
    adamw = torch.optim.AdamW([flat[k] for k in OTHERS], lr=RATES[0], betas=(0.9, 0.95), eps=1e-8, weight_decay=DECAY)
    steps = {k: [] for k in start}
    for step, rate in enumerate(RATES):
        for optimiser in (muon, adamw):
            optimiser.param_groups[0]["lr"] = rate
        for key, parameter in flat.items():
            parameter.grad = gradients[key][step].double().reshape(parameter.shape)
        muon.step()
        adamw.step()
        for key, parameter in flat.items():
            steps[key].append(parameter.detach().reshape(start[key].shape).clone())
    return {k: torch.stack(v) for k, v in steps.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=pathlib.Path, required=True, help="directory to write to")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()

    def normal(label, *shape):
        generator = np.random.default_rng([arguments.seed, zlib.crc32(label.encode())])
        return torch.from_numpy(np.asarray(generator.standard_normal(shape), dtype=np.float32))

    shapes = MATRICES | OTHERS
    start = {k: 0.5 * normal(f"muon/{k}", *v) for k, v in shapes.items()}
    # Gradients that agree in part from step to step, as real ones do, and whose size changes.
    sizes = torch.tensor([2.0 ** -(step % 4) for step in range(STEPS)])
    gradients = {
        k: (normal(f"muon/mean of {k}", 1, *v) + normal(f"muon/gradient of {k}", STEPS, *v))
        * sizes.reshape(-1, *[1] * len(v)) for k, v in shapes.items()
    }
    exact = trajectory(start, gradients, "torch.float64")
    rounded = trajectory(start, gradients, "torch.bfloat16")
    moved = {k: (exact[k][-1] - start[k].double()).norm() for k in MATRICES}
    difference = max(float((exact[k][-1] - rounded[k][-1]).norm() / moved[k]) for k in MATRICES)
    case = dict(
        purpose="Steps of Muon for hidden matrices and of AdamW for the rest, at a rate that falls linearly.",
        configuration=dict(
            steps=STEPS, rates=RATES, weight_decay=DECAY, momentum=0.95, matrices=sorted(MATRICES),
            bfloat16_difference=round(difference, 6),
        ),
        zero_gradients=[],
    )
    tensors = (
        {f"parameter.{k}": v for k, v in start.items()} | {f"input.gradient.{k}": v for k, v in gradients.items()}
        | {f"result.parameter.{k}": v for k, v in exact.items()}
    )
    arguments.output.mkdir(parents=True, exist_ok=True)
    path = arguments.output / "muon.safetensors"
    tensors = {k: v.float().contiguous() for k, v in sorted(tensors.items())}
    assert all(torch.isfinite(v).all() for v in tensors.values())
    save_file(tensors, str(path), {"case": json.dumps(case)})
    print(f"muon: {len(tensors)} tensors, {path.stat().st_size} bytes, bfloat16 ends {difference:.3f} of the way off")


if __name__ == "__main__":
    main()
