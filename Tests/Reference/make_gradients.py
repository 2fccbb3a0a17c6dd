#!/usr/bin/env python3
"""Writes golden gradients from the reference implementation, one safetensors file per case.

A case is a small network with random weights, its inputs and a loss. PyTorch differentiates the loss in float64 with
one thread, and what comes out is rounded to float32 once; only the r embedding is the float32 recipe of
make_fixtures.py, which an implementation can follow exactly. The same in float32 shows what a sound implementation can
reach. Maps are NCHW.

    parameter.NAME       weights and buffers under their published names
    gradient.NAME        of the loss, for every weight; buffers have none
    input.NAME           inputs of the network and of the loss
    input_gradient.NAME  of the loss, for the inputs that a gradient flows into
    loss                 one number
    result.NAME          whatever else a case is about
    __metadata__.case    JSON: purpose, configuration as in the part's config.json, zero_gradients, float32_error

    python make_gradients.py --output DIRECTORY --seed 1
"""

import argparse
import json
import pathlib
import re

import make_fixtures as reference
from make_fixtures import F32, F64_SAME_R, InvertedBlock, Source, cast, fill

import torch
from torch import nn
from safetensors.torch import save_file
from diffusers.pipelines.deprecated.wuerstchen import modeling_wuerstchen_common as common
from diffusers.pipelines.deprecated.wuerstchen.modeling_paella_vq_model import PaellaVQModel
from diffusers.pipelines.deprecated.wuerstchen.modeling_wuerstchen_prior import WuerstchenPrior

torch.set_grad_enabled(True)

PRIOR = dict(c_in=4, c=24, c_cond=20, c_r=16, depth=2, nhead=2, dropout=0.0)
DECODER = dict(
    c_in=4, c_out=4, c_r=16, patch_size=2, c_cond=9, c_hidden=[8, 10, 12], nhead=[-1, 2, 3], blocks=[1, 1, 2],
    level_config=["CT", "CTA", "CTA"], inject_effnet=[False, True, True], effnet_embd=16, clip_embd=20, kernel_size=3,
    dropout=0.0,
)
VQGAN = dict(
    in_channels=3, out_channels=3, up_down_scale_factor=2, levels=2, bottleneck_blocks=1, embed_dim=16,
    latent_channels=4, num_vq_embeddings=8, scale_factor=0.42,
)
TEXT = dict(
    model_type="clip_text_model", hidden_size=24, intermediate_size=56, num_hidden_layers=2, num_attention_heads=3,
    hidden_act="gelu", layer_norm_eps=1e-5, max_position_embeddings=9, vocab_size=30, projection_dim=12,
    attention_dropout=0.0, bos_token_id=0, eos_token_id=2, pad_token_id=1,
)
START, END = 28, 29
BLOCKS = [
    dict(fused=True, inputs=6, outputs=8, expand=4, stride=2), dict(fused=False, inputs=8, outputs=8, expand=4, stride=1),
]
RESIDUAL = dict(c=8, c_r=16)
ADAMW = dict(
    steps=12, betas=[0.9, 0.95], eps=1e-8, weight_decay=0.1, peak_rate=0.01, final_rate=1e-5, warm_up=4, max_norm=1.0,
    average_decay=0.998,
)
# A bias of the keys shifts all scores of a query alike, which softmax cancels.
KEY_BIASES = r"(to_k|k_proj)\.bias$"


def mean_square(x, dim=None):
    return (x * x).mean(dim=dim)


class Writer:
    def __init__(self, directory):
        self.directory = directory

    def add(self, name, purpose, configuration, build, inputs, along, loss, zeros=(), prefix="", training=False):
        """Differentiates `loss(module, inputs)`, which gives a number and further results.

        `build` makes the module and its state. `along` are the inputs whose gradient is wanted; gradients that match a
        pattern of `zeros` must vanish, and no others may.
        """

        def run(precision):
            module, state = build()
            module.load_state_dict(state)
            module = reference.set_precision(module, precision).train(training)
            values = {k: cast(v, precision).clone() for k, v in inputs.items()}
            for key in along:
                values[key].requires_grad_()
            with reference.double_interpolation(precision):
                value, results = loss(module, values)
            value.backward()
            gradients = {
                prefix + k: torch.zeros_like(v) if v.grad is None else v.grad for k, v in module.named_parameters()
            }
            along_inputs = {k: values[k].grad for k in along}
            return state, value.detach(), gradients, along_inputs, {k: v.detach() for k, v in results.items()}

        state, value, gradients, input_gradients, results = run(F64_SAME_R)
        _, _, plain_gradients, plain_inputs, _ = run(F32)

        largest = max(float(g.abs().max()) for g in gradients.values())
        vanishing = sorted(k for k, g in gradients.items() if float(g.abs().max()) < 1e-12 * largest)
        expected = sorted(k for k in gradients if any(re.search(z, k) for z in zeros))
        assert vanishing == expected, (name, vanishing, expected)
        for key in vanishing:
            gradients[key] = torch.zeros_like(gradients[key])
        errors = {
            k: float((g - plain.double()).abs().max() / g.abs().max())
            for got, other in ((gradients, plain_gradients), (input_gradients, plain_inputs))
            for k, (g, plain) in ((k, (got[k], other[k])) for k in got) if k not in vanishing
        }
        self.store(
            name, dict(
                purpose=purpose, configuration=configuration, zero_gradients=vanishing,
                float32_error=reference.significant(max(errors.values())),
            ),
            parameter={prefix + k: v for k, v in state.items()}, gradient=gradients, input=inputs,
            input_gradient=input_gradients, result=results, loss=value,
        )
        return results

    def store(self, name, case, loss=None, **groups):
        """What is known in float64 is rounded here."""
        tensors = {f"{group}.{k}": v for group, values in groups.items() for k, v in values.items()}
        if loss is not None:
            tensors["loss"] = loss.reshape(1)
        tensors = {k: (v.float() if v.is_floating_point() else v).clone().contiguous() for k, v in tensors.items()}
        for key, tensor in tensors.items():
            assert not tensor.is_floating_point() or torch.isfinite(tensor).all(), (name, key)
        path = self.directory / f"{name}.safetensors"
        save_file(dict(sorted(tensors.items())), str(path), {"case": json.dumps(case)})
        error = f", float32 is off by {case['float32_error']}" if "float32_error" in case else ""
        print(f"{name}: {len(tensors)} tensors, {path.stat().st_size} bytes{error}")


def noisy(source, label, *shape, times):
    """Inputs of a diffusion stage as training makes them: x_t, its noise, and the weight 1 - ᾱ of each picture."""
    times = torch.tensor(times, dtype=torch.float32)
    scheduler = reference.make_scheduler(1.0, 0.008, F64_SAME_R)
    share = scheduler._alpha_cumprod(times.double(), "cpu")
    clean, noise = (source.normal(f"{label}/{k}", *shape) for k in ("clean", "noise"))
    column = share.reshape(-1, 1, 1, 1)
    x = column.sqrt() * clean.double() + (1 - column).sqrt() * noise.double()
    return dict(clean=clean, noise=noise, times=times, weights=(1 - share).float(), x=x.float())


def noise_loss(predicted, i):
    """The mean over the batch of each picture's weighted mean squared error of the noise."""
    return (i["weights"] * mean_square(predicted - i["noise"], dim=(1, 2, 3))).mean()


# ---------------------------------------------------------------------------------------------------------------------
# Cases


def stage_c(writer, source):
    # b on both sides of 1 and away from it: the network divides by |1 - b|.
    shift = torch.tensor([0.0] * PRIOR["c_in"] + [0.1, 1.9] * (PRIOR["c_in"] // 2))

    def build():
        module = WuerstchenPrior(**PRIOR)
        return module, fill(module, source, "stage_c", [(r"^out\.1\.weight$", 0.2, 0.0), (r"^out\.1\.bias$", 1.0, shift)])

    def loss(module, i):
        predicted = module(i["x"], i["times"], i["text"])
        return noise_loss(predicted, i), {"predicted": predicted}

    inputs = noisy(source, "stage_c", 2, PRIOR["c_in"], 3, 5, times=[0.35, 0.9])
    inputs["text"] = source.normal("stage_c/text", 2, 7, PRIOR["c_cond"])
    writer.add("stage_c", "Stage C's objective: the error of the noise, weighted by 1 - ᾱ.", PRIOR, build, inputs,
               ("x", "text"), loss, [KEY_BIASES])


def stage_b(writer, source):
    def build():
        module = reference.WuerstchenDiffNeXt(**DECODER)
        return module, fill(module, source, "stage_b", reference.stage_b_overrides(DECODER))

    def loss(module, i):
        predicted = module(i["x"], i["times"], i["effnet"], i["clip"])
        return noise_loss(predicted, i), {"predicted": predicted}

    inputs = noisy(source, "stage_b", 2, DECODER["c_in"], 16, 24, times=[0.8, 0.25])
    inputs["effnet"] = source.normal("stage_b/effnet", 2, DECODER["effnet_embd"], 3, 5)
    inputs["clip"] = source.normal("stage_b/clip", 2, 6, DECODER["clip_embd"])
    writer.add("stage_b", "Stage B's objective, weighted like Stage C's, with three levels, two of them conditioned.", DECODER,
               build, inputs, ("x", "effnet", "clip"), loss, [KEY_BIASES])


def stage_a(writer, source):
    narrow = VQGAN | dict(embed_dim=8)

    def build(configuration):
        module = PaellaVQModel(**configuration)
        return module, fill(module, source, "stage_a")

    def autoencoder(module, i):
        """The model's own forward leaves the quantiser out, whose loss is codebook + 0.25 commitment."""
        latents = module.encode(i["image"]).latents
        quantised, codebook_loss, (_, _, indices) = module.vquantizer(latents)
        decoded = module.out_block(module.up_blocks(quantised))
        error = decoded - i["image"]
        distances = torch.cdist(latents.detach().permute(0, 2, 3, 1).flatten(0, 2), module.vquantizer.embedding.weight.detach())
        nearest = distances.sort(dim=1).values
        assert float((nearest[:, 1] - nearest[:, 0]).min()) > 1e-3, "a latent lies almost as close to a second code"
        assert float(error.detach().abs().min()) > 2e-5, "a pixel lies at the kink of the absolute error"
        norm = module.down_blocks[-1][1]
        return mean_square(error) + error.abs().mean() + codebook_loss, {
            "latents": latents, "indices": indices.reshape(latents.shape[0], *latents.shape[2:]), "decoded": decoded,
            "codebook_loss": codebook_loss.reshape(1), "running_mean": norm.running_mean, "running_var": norm.running_var,
        }

    def plain(module, i):
        latents = module.encode(i["image"]).latents
        decoded = module.decode(latents).sample
        return mean_square(decoded - i["image"]), {"latents": latents, "decoded": decoded}

    inputs = dict(image=source.uniform("stage_a/image", 2, 3, 16, 24))
    # What the last linear layer adds to every position alike, the batch norm takes off again.
    writer.add(
        "stage_a", "Mean square and mean absolute error through the straight-through quantiser, plus codebook and 0.25 commitment "
        "loss; the batch norm uses the batch's statistics. The running statistics are those after the step, momentum 0.1.",
        VQGAN, lambda: build(VQGAN), inputs, ("image",), autoencoder, [r"^down_blocks\.2\.channelwise\.2\.bias$"], training=True)
    writer.add("stage_a_decoder", "Mean square error of the picture without quantiser; the batch norm uses its running statistics.",
               narrow, lambda: build(narrow), inputs, ("image",), plain, [r"^vquantizer\."])


def text(writer, source):
    def build():
        module = reference.build_text_model(TEXT)
        return module, fill(module, source, "text")

    def loss(module, i):
        states = module(i["ids"], attention_mask=i["mask"]).last_hidden_state
        return (i["factors"] * states).mean(), {"last_hidden_state": states}

    tokens = [[START, 3, 7, 7, 12, END], [START, 21, END]]
    length = TEXT["max_position_embeddings"]
    inputs = dict(
        ids=torch.tensor([t + [END] * (length - len(t)) for t in tokens]),
        mask=torch.tensor([[1] * len(t) + [0] * (length - len(t)) for t in tokens]),
        factors=source.normal("text/factors", len(tokens), length, TEXT["hidden_size"]),
    )
    writer.add("text", "The last hidden states times given factors, their mean; padded positions count, as the stages see them too.",
               TEXT, build, inputs, (), loss, [KEY_BIASES], prefix="text_model.")


def mbconv(writer, source):
    def build():
        blocks = [InvertedBlock(b["inputs"], b["outputs"], b["expand"], b["stride"], b["fused"]) for b in BLOCKS]
        module = nn.Sequential(*blocks)
        return module, fill(module, source, "mbconv")

    def loss(module, i):
        y = module(i["x"])
        return mean_square(y - i["target"]), {
            "y": y, **{k: v for k, v in module.named_buffers() if not k.endswith("num_batches_tracked")},
        }

    inputs = dict(x=source.normal("mbconv/x", 2, 6, 9, 7), target=source.normal("mbconv/target", 2, 8, 5, 4))
    writer.add(
        "mbconv", "Fused MBConv with stride 2 and MBConv with squeeze and excitation, in training: the batch norms use the batch's "
        "statistics. The running statistics are those after the step, momentum 0.1.",
        dict(blocks=BLOCKS, bn_eps=1e-3, bn_momentum=0.1), build, inputs, ("x",), loss, training=True)


def residual_block(writer, source):
    class Blocks(nn.Module):
        def __init__(self):
            super().__init__()
            self.blocks = nn.ModuleList([common.ResBlock(RESIDUAL["c"]), common.TimestepBlock(RESIDUAL["c"], RESIDUAL["c_r"])])

        def forward(self, x, embedding):
            return self.blocks[1](self.blocks[0](x), embedding)

    def build():
        module = Blocks()
        return module, fill(module, source, "residual_block")

    def loss(module, i):
        y = module(i["x"], i["embedding"])
        return mean_square(y - i["target"]), {"y": y}

    times = torch.tensor([0.15, 0.7])
    inputs = dict(
        x=source.normal("residual_block/x", 2, RESIDUAL["c"], 3, 5), times=times,
        target=source.normal("residual_block/target", 2, RESIDUAL["c"], 3, 5),
        embedding=reference.r_embedding_recipe(times, RESIDUAL["c_r"]).float(),
    )
    writer.add("residual_block", "Stage C's residual block and the modulation by the timestep behind it.", RESIDUAL, build, inputs,
               ("x", "embedding"), loss)


def adamw(writer, source):
    steps, shapes = ADAMW["steps"], dict(a=(3, 4), b=(5,))
    start = {k: source.normal(f"adamw/{k}", *v, scale=0.5) for k, v in shapes.items()}
    strength = 0.5 ** torch.arange(steps).remainder(4).float()  # the norm of all 17 elements is about 4 times that
    gradients = {
        k: source.normal(f"adamw/gradient {k}", steps, *v) * strength.reshape(-1, *[1] * len(v)) for k, v in shapes.items()
    }
    parameters = {k: nn.Parameter(v.double()) for k, v in start.items()}
    optimiser = torch.optim.AdamW(
        parameters.values(), lr=ADAMW["peak_rate"], betas=tuple(ADAMW["betas"]), eps=ADAMW["eps"],
        weight_decay=ADAMW["weight_decay"],
    )
    warm_up = ADAMW["warm_up"]
    schedule = torch.optim.lr_scheduler.SequentialLR(optimiser, [
        torch.optim.lr_scheduler.LinearLR(optimiser, 1 / warm_up, total_iters=warm_up - 1),
        torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps - warm_up, ADAMW["final_rate"]),
    ], [warm_up])
    averages = {k: v.double() for k, v in start.items()}
    rates, norms, moved, averaged = [], [], {k: [] for k in shapes}, {k: [] for k in shapes}
    for step in range(steps):
        for key, parameter in parameters.items():
            parameter.grad = gradients[key][step].double()
        norms.append(nn.utils.clip_grad_norm_(parameters.values(), ADAMW["max_norm"]))
        rates.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        schedule.step()
        decay = min(ADAMW["average_decay"], (1 + step) / (10 + step))
        for key, parameter in parameters.items():
            averages[key] = decay * averages[key] + (1 - decay) * parameter.detach()
            moved[key].append(parameter.detach().clone())
            averaged[key].append(averages[key])
    norms = torch.stack(norms)
    assert (norms > 1.1).sum() >= 3 and (norms < 0.9).sum() >= 3, norms
    writer.store(
        "adamw", dict(
            purpose="Steps of AdamW with a clipped global norm and a learning rate that rises linearly and falls along a cosine, and the "
            "moving average of the parameters, whose decay in step n, counted from 0, is at most (1 + n) / (10 + n). The first "
            "axis of inputs and results counts steps; results are those after a step, norms those before clipping.",
            configuration=ADAMW, zero_gradients=[],
        ),
        parameter=start, input={f"gradient.{k}": v for k, v in gradients.items()},
        result={
            "rates": torch.tensor(rates, dtype=torch.float64), "norms": norms,
            **{f"parameter.{k}": torch.stack(v) for k, v in moved.items()},
            **{f"average.{k}": torch.stack(v) for k, v in averaged.items()},
        },
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=pathlib.Path, required=True, help="directory to write to")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    writer, source = Writer(arguments.output), Source(arguments.seed)
    for case in (stage_c, stage_b, stage_a, text, mbconv, residual_block, adamw):
        case(writer, source)


if __name__ == "__main__":
    main()
