#!/usr/bin/env python3
"""Writes the small golden fixtures of this package from the reference implementation.

The reference is diffusers' Wuerstchen (pipelines.deprecated.wuerstchen) with a CLIP text encoder from transformers, on
the CPU in float32 with one thread. A miniature checkpoint with random weights and a vocabulary learnt from the text
below is written first, read back from disk, and every expected number is computed from what was read. Each number is
computed once more in float64, which is where the tolerances come from.

    python make_fixtures.py --output DIRECTORY --seed 1      write the set
    python make_fixtures.py --compare DIRECTORY              recompute any set of this layout and report differences
"""

import argparse
import contextlib
import json
import math
import os
import pathlib
import platform
import re
import shutil
import sys
import warnings
import zlib

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
warnings.filterwarnings("ignore")

import numpy as np
import torch
from torch import nn
import torch.nn.functional as F
import safetensors
from safetensors.torch import load_file, save_file
import tokenizers
import transformers
import diffusers
from transformers import CLIPTextConfig, CLIPTextModel, PreTrainedTokenizerFast
from transformers.activations import QuickGELUActivation
from diffusers import DDPMWuerstchenScheduler
from diffusers.pipelines.deprecated.wuerstchen import modeling_wuerstchen_diffnext as stage_b_module
from diffusers.pipelines.deprecated.wuerstchen import modeling_wuerstchen_common as common
from diffusers.pipelines.deprecated.wuerstchen import pipeline_wuerstchen as decoder_pipeline_module
from diffusers.pipelines.deprecated.wuerstchen import pipeline_wuerstchen_prior as prior_pipeline_module
from diffusers.pipelines.deprecated.wuerstchen.modeling_paella_vq_model import MixingResidualBlock, PaellaVQModel
from diffusers.pipelines.deprecated.wuerstchen.modeling_wuerstchen_prior import WuerstchenPrior
from diffusers.schedulers import scheduling_ddpm_wuerstchen as scheduler_module

torch.set_num_threads(1)
torch.set_grad_enabled(False)
diffusers.logging.set_verbosity_error()
transformers.logging.set_verbosity_error()

WuerstchenDiffNeXt = stage_b_module.WuerstchenDiffNeXt
PriorPipeline = prior_pipeline_module.WuerstchenPriorPipeline
DecoderPipeline = decoder_pipeline_module.WuerstchenDecoderPipeline
STAGE_C_TIMESTEPS = [float(t) for t in prior_pipeline_module.DEFAULT_STAGE_C_TIMESTEPS]

F32, F64, F64_SAME_R = "float32", "float64", "float64 with the float32 r embedding"

# ---------------------------------------------------------------------------------------------------------------------
# Shapes of the miniature checkpoint. Whatever the reference lets vary differs from the published numbers.

CONTEXT = 24
MERGES = 160
PRIOR = dict(c_in=10, c=30, c_cond=18, c_r=32, depth=2, nhead=3, dropout=0.1)
DECODER = dict(
    c_in=4, c_out=4, c_r=28, patch_size=2, c_cond=14, c_hidden=[12, 16, 20], nhead=[2, -1, 5], blocks=[1, 2, 1],
    level_config=["CTA", "CT", "TCA"], inject_effnet=[True, False, True], effnet_embd=10, clip_embd=12, kernel_size=3,
    dropout=0.1,
)
DECODER_NO_TEXT = dict(
    c_in=4, c_out=4, c_r=33, patch_size=4, c_cond=5, c_hidden=[6, 9], nhead=[-1, -1], blocks=[1, 1],
    level_config=["CT", "TC"], inject_effnet=[False, True], effnet_embd=5, clip_embd=6, kernel_size=3, dropout=0.1,
)
VQGAN = dict(
    in_channels=3, out_channels=3, up_down_scale_factor=2, levels=2, bottleneck_blocks=3, embed_dim=14,
    latent_channels=4, num_vq_embeddings=40, scale_factor=0.42,
)
PRIOR_TEXT = dict(hidden_size=18, intermediate_size=40, num_attention_heads=3, num_hidden_layers=2, projection_dim=12)
DECODER_TEXT = dict(hidden_size=12, intermediate_size=30, num_attention_heads=2, num_hidden_layers=2, projection_dim=12)
EXTRA_TEXT = dict(hidden_size=12, intermediate_size=32, num_attention_heads=2, num_hidden_layers=2, projection_dim=8)
EXTRA_VOCABULARY = 90
LATENT_MEAN, LATENT_STD, RESOLUTION_MULTIPLE, LATENT_DIM_SCALE = 37.5, 1.25, 10.7, 2.7
PRIOR_SCHEDULER = dict(s=0.008, scaler=1.0)
DECODER_SCHEDULER = dict(s=0.013, scaler=1.2)
COMPRESSOR_SEED = 271828

PRIOR_PART, PRIOR_TEXT_PART = "checkpoint/wuerstchen-prior/prior", "checkpoint/wuerstchen-prior/text_encoder"
DECODER_PART, DECODER_TEXT_PART = "checkpoint/wuerstchen/decoder", "checkpoint/wuerstchen/text_encoder"
VQGAN_PART, EXTRA_PART = "checkpoint/wuerstchen/vqgan", "extra/text_encoder_small_vocabulary"
DTYPES = {
    PRIOR_PART: torch.bfloat16, PRIOR_TEXT_PART: torch.float16, DECODER_PART: torch.float16,
    DECODER_TEXT_PART: torch.float32, VQGAN_PART: torch.float32,
}
SHARDED = {PRIOR_TEXT_PART: 2}
DTYPE_NAMES = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16"}

# ---------------------------------------------------------------------------------------------------------------------
# Small tools


def dump_json(value, limit=160):
    """JSON indented by one space, but with every container that fits kept on one line."""

    def write(node, depth):
        flat = json.dumps(node)
        if not isinstance(node, (dict, list)) or not node or len(flat) + depth <= limit:
            return flat
        pad, end = "\n" + " " * (depth + 1), "\n" + " " * depth
        if isinstance(node, dict):
            return "{" + ",".join(pad + json.dumps(k) + ": " + write(v, depth + 1) for k, v in node.items()) + end + "}"
        return "[" + ",".join(pad + write(v, depth + 1) for v in node) + end + "]"

    return write(value, 0) + "\n"


def write_json(path, value, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(value, **options) + "\n" if options else dump_json(value)
    path.write_text(text, encoding="utf-8")


class Source:
    """Reproducible random tensors: every label has a stream of its own."""

    def __init__(self, seed):
        self.seed = seed

    def generator(self, label):
        return np.random.default_rng([self.seed, zlib.crc32(label.encode())])

    def normal(self, label, *shape, scale=1.0, shift=0.0):
        values = self.generator(label).standard_normal(shape) * scale + shift
        return torch.from_numpy(np.asarray(values, dtype=np.float32)).reshape(shape)

    def uniform(self, label, *shape):
        return torch.from_numpy(self.generator(label).random(shape, dtype=np.float32))

    def integers(self, label, low, high, *shape):
        return torch.from_numpy(self.generator(label).integers(low, high, shape))


def cast(value, precision):
    """Moves floating tensors, modules or containers of them to the working precision."""
    if isinstance(value, dict):
        return {k: cast(v, precision) for k, v in value.items()}
    if isinstance(value, nn.Module):
        return value.float() if precision == F32 else value.double()
    if isinstance(value, torch.Tensor) and value.is_floating_point():
        return value.float() if precision == F32 else value.double()
    return value


def fill(module, source, label, overrides=()):
    """A state dict of random values, none of them at a neutral 0 or 1."""
    owners = dict(module.named_modules())
    state = {}
    for key, old in module.state_dict().items():
        owner, leaf = owners[key.rpartition(".")[0]], key.rpartition(".")[2]
        shape, gain, shift = tuple(old.shape), 1.0, 0.0
        if leaf == "num_batches_tracked":
            state[key] = torch.tensor(4321, dtype=torch.int64)
            continue
        if leaf == "position_ids":
            continue
        if leaf == "running_var":
            state[key] = source.normal(f"{label}/{key}", *shape, scale=0.3).exp()
            continue
        if leaf == "running_mean":
            scale = 0.2
        elif leaf == "gamma":
            scale = 0.35
        elif leaf == "gammas":
            scale, shift = 0.3, 0.25
        elif leaf in ("beta", "bias"):
            scale = 0.12
        elif isinstance(owner, (nn.LayerNorm, nn.BatchNorm2d)):
            scale, shift = 0.15, 1.0
        elif isinstance(owner, nn.Embedding):
            scale = 0.3 if "position" in key else (1.0 if "vquantizer" in key else 0.5)
        elif isinstance(owner, nn.ConvTranspose2d):
            stride = owner.stride[0]
            scale = 1 / math.sqrt(shape[0] * shape[2] * shape[3] / stride**2)
        else:
            scale = 1 / math.sqrt(math.prod(shape[1:]))
        if re.search(r"(^|\.)mapper\.(weight|bias)$", key):
            gain = 0.4
        if re.search(r"(to_q|to_k|q_proj|k_proj)\.weight$", key):
            gain = 1.6
        for pattern, new_gain, new_shift in overrides:
            if re.search(pattern, key):
                gain, shift = new_gain, new_shift
        value = source.normal(f"{label}/{key}", *shape, scale=scale * gain)
        state[key] = value + torch.as_tensor(shift, dtype=torch.float32)
    return state


# ---------------------------------------------------------------------------------------------------------------------
# The r embedding in three ways


def r_embedding_float64(r, width):
    r, half = r.double(), width // 2
    exponent = torch.arange(half, dtype=torch.float64) * (-math.log(10000) / (half - 1))
    phase = (r * 10000)[:, None] * exponent.exp()[None, :]
    return F.pad(torch.cat([phase.sin(), phase.cos()], dim=1), (0, width % 2))


def r_embedding_recipe(r, width):
    """Frequencies exact to half an ulp and phases in float32, sines in float64: what an implementation should aim at."""
    half = width // 2
    exponent = np.arange(half, dtype=np.float32) * np.float32(-(math.log(10000) / (half - 1)))
    frequency = torch.from_numpy(np.exp(exponent.astype(np.float64)).astype(np.float32))
    phase = ((r.float() * 10000)[:, None] * frequency[None, :]).double()
    return F.pad(torch.cat([phase.sin(), phase.cos()], dim=1), (0, width % 2))


def r_embedding_reference(r, width):
    class Holder:
        c_r = width

    return WuerstchenPrior.gen_r_embedding(Holder(), r)


def set_precision(model, precision):
    """Puts a stage B or C model into one of the three precisions."""
    model = cast(model.eval(), precision)
    if precision != F32 and hasattr(model, "gen_r_embedding"):
        function = r_embedding_float64 if precision == F64 else r_embedding_recipe
        model.gen_r_embedding = lambda r: function(r, model.c_r)
    return model


@contextlib.contextmanager
def double_interpolation(precision):
    """Stage B resamples in float32 whatever it is given; the float64 runs must not."""
    original = F.interpolate
    if precision != F32:
        nn.functional.interpolate = lambda x, *args, **kw: original(x.double(), *args, **kw)
    try:
        yield
    finally:
        nn.functional.interpolate = original


# ---------------------------------------------------------------------------------------------------------------------
# EfficientNetV2-S features with torchvision's key names


class SqueezeExcite(nn.Module):
    def __init__(self, width, squeezed):
        super().__init__()
        self.fc1, self.fc2 = nn.Conv2d(width, squeezed, 1), nn.Conv2d(squeezed, width, 1)

    def forward(self, x):
        return x * torch.sigmoid(self.fc2(F.silu(self.fc1(x.mean((2, 3), keepdim=True)))))


def conv_norm(inputs, outputs, kernel, stride=1, groups=1, activation=True, eps=1e-3):
    layers = [
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs, eps=eps),
    ]
    return nn.Sequential(*layers, nn.SiLU()) if activation else nn.Sequential(*layers)


class InvertedBlock(nn.Module):
    """MBConv and fused MBConv."""

    def __init__(self, inputs, outputs, expand, stride, fused, eps=1e-3, squeezed=None):
        super().__init__()
        self.residual = stride == 1 and inputs == outputs
        hidden = inputs * expand
        if fused and expand == 1:
            layers = [conv_norm(inputs, outputs, 3, stride, eps=eps)]
        elif fused:
            layers = [
                conv_norm(inputs, hidden, 3, stride, eps=eps),
                conv_norm(hidden, outputs, 1, activation=False, eps=eps),
            ]
        else:
            layers = [
                conv_norm(inputs, hidden, 1, eps=eps),
                conv_norm(hidden, hidden, 3, stride, groups=hidden, eps=eps),
                SqueezeExcite(hidden, squeezed or max(1, inputs // 4)),
                conv_norm(hidden, outputs, 1, activation=False, eps=eps),
            ]
        self.block = nn.Sequential(*layers)

    def forward(self, x):
        return self.block(x) + x if self.residual else self.block(x)


EFFICIENTNET_V2_S = [  # fused, expansion, stride, inputs, outputs, blocks
    (True, 1, 1, 24, 24, 2), (True, 4, 2, 24, 48, 4), (True, 4, 2, 48, 64, 4),
    (False, 4, 2, 64, 128, 6), (False, 6, 1, 128, 160, 9), (False, 6, 2, 160, 256, 15),
]


class SemanticCompressor(nn.Module):
    def __init__(self, c_latent=16):
        super().__init__()
        stages = [conv_norm(3, 24, 3, 2)]
        for fused, expand, stride, inputs, outputs, count in EFFICIENTNET_V2_S:
            stages.append(nn.Sequential(*[
                InvertedBlock(outputs if i else inputs, outputs, expand, 1 if i else stride, fused) for i in range(count)
            ]))
        self.backbone = nn.Sequential(*stages, conv_norm(256, 1280, 1))
        self.mapper = nn.Sequential(nn.Conv2d(1280, c_latent, 1, bias=False), nn.BatchNorm2d(c_latent))


def compressor_units(key, count, seed):
    h = 0x811C9DC5
    for byte in key.encode("utf-8"):
        h = ((h ^ byte) * 0x01000193) & 0xFFFFFFFF
    start = h ^ (seed & 0xFFFFFFFF)
    h = (np.arange(count, dtype=np.uint64) * 0x9E3779B9 + start) & 0xFFFFFFFF
    h ^= h >> 16
    h = (h * 0x85EBCA6B) & 0xFFFFFFFF
    h ^= h >> 13
    h = (h * 0xC2B2AE35) & 0xFFFFFFFF
    h ^= h >> 16
    return (h >> 8).astype(np.float32) * np.float32(2.0**-23) - np.float32(1)


def compressor_gain(key, shape):
    if ".fc1." in key or ".fc2." in key:
        return 0.5
    if shape[1] == 1 and shape[2] == 3:
        return 2.0
    if re.fullmatch(r"backbone\.[23]\.\d+\.block\.1\.0\.weight", key):
        return 1.0 if key.split(".")[2] == "0" else 0.1
    if re.fullmatch(r"backbone\.[456]\.\d+\.block\.3\.0\.weight", key):
        return 4.0 if key.split(".")[2] == "0" else 0.3
    for prefix, gain in (("backbone.1.", 0.3), ("backbone.7.", 3.0), ("mapper.", 1.0)):
        if key.startswith(prefix):
            return gain
    return 2.0


def compressor_tensor(key, shape, seed):
    leaf = key.rpartition(".")[2]
    if leaf == "num_batches_tracked":
        return torch.tensor(0, dtype=torch.int64)
    u, f = compressor_units(key, math.prod(shape), seed), np.float32
    if leaf == "weight" and len(shape) == 4:
        value = u * f(math.sqrt(3 * compressor_gain(key, shape) / math.prod(shape[1:])))
    elif leaf == "weight":
        value = f(1) + f(0.2) * u
    elif leaf == "running_var":
        value = f(1) + f(0.5) * u
    else:
        value = f(0.1) * u
    return torch.from_numpy(value.reshape(shape))


COMPRESSOR_RULE = {
    "summary": "A tensor follows from its key and the flat row-major index i in PyTorch's layout; none is stored.",
    "u": [
        "s = fnv1a32(utf8(key)) XOR (seed mod 2^32)      fnv1a32: h = 0x811C9DC5; for each byte: h = (h XOR byte) * 0x01000193",
        "h = i * 0x9E3779B9 + s                          everything modulo 2^32",
        "h ^= h >> 16; h *= 0x85EBCA6B; h ^= h >> 13; h *= 0xC2B2AE35; h ^= h >> 16",
        "u = Float(h >> 8) * 2^-23 - 1                   exact in float32, in [-1, 1)",
    ],
    "convolution_weight": "u * b in float32; b = Float(sqrt(3 * gain / fan_in)), taken in double and rounded once; fan_in = product of shape[1...]",
    "gain": {
        "first rule that matches": "gain",
        "key contains .fc1. or .fc2.": 0.5,
        "shape[1] == 1 and shape[2] == 3 (depthwise)": 2.0,
        "backbone.2.0.block.1.0.weight, backbone.3.0.block.1.0.weight (projection, first block)": 1.0,
        "backbone.[23].<n>.block.1.0.weight, n > 0 (projection, later blocks)": 0.1,
        "backbone.[456].0.block.3.0.weight (projection, first block)": 4.0,
        "backbone.[456].<n>.block.3.0.weight, n > 0 (projection, later blocks)": 0.3,
        "key starts with backbone.1.": 0.3,
        "key starts with backbone.7.": 3.0,
        "key starts with mapper.": 1.0,
        "any other convolution": 2.0,
    },
    "bias": "0.1 * u (fc1.bias, fc2.bias and every batch norm bias)",
    "batch_norm_weight": "1 + 0.2 * u",
    "running_mean": "0.1 * u",
    "running_var": "1 + 0.5 * u",
    "num_batches_tracked": "0",
    "arithmetic": "Constants are rounded to float32 first and every operation is float32: 1 + 0.2 * u is Float(1) + Float(0.2) * u.",
    "batch_norm_eps": "1e-3 inside the backbone, 1e-5 in the mapper",
}
COMPRESSOR_PROBES = [
    "backbone.0.0.weight", "backbone.0.1.running_var", "backbone.4.0.block.1.0.weight", "backbone.6.14.block.3.0.weight",
    "backbone.6.0.block.2.fc1.bias", "backbone.7.0.weight", "mapper.0.weight", "mapper.1.weight", "mapper.1.running_mean",
]
_compressors = {}


def compressor(seed, precision):
    if (seed, precision) not in _compressors:
        model = SemanticCompressor().eval()
        state = {k: compressor_tensor(k, tuple(v.shape), seed) for k, v in model.state_dict().items()}
        model.load_state_dict(state)
        _compressors[seed, precision] = cast(model, precision)
    return _compressors[seed, precision]


# ---------------------------------------------------------------------------------------------------------------------
# Reading a checkpoint


class Checkpoint:
    """Parts of a fixture directory, read from disk as an implementation would."""

    def __init__(self, root):
        self.root = pathlib.Path(root)
        self.cache = {}

    def config(self, part):
        return json.loads((self.root / part / "config.json").read_text())

    def weights(self, part):
        folder, tensors = self.root / part, {}
        indices = list(folder.glob("*.safetensors.index.json"))
        if indices:
            files = sorted(set(json.loads(indices[0].read_text())["weight_map"].values()))
        else:
            files = [p.name for p in folder.glob("*.safetensors")]
        for name in files:
            tensors.update(load_file(str(folder / name)))
        return cast(tensors, F32)

    def model(self, part, precision=F32):
        if (part, precision) not in self.cache:
            config, state = self.config(part), self.weights(part)
            kind = config.pop("_class_name", "CLIPTextModel")
            config.pop("_diffusers_version", None)
            if kind == "CLIPTextModel":
                for key in ("architectures", "model_type", "torch_dtype", "transformers_version"):
                    config.pop(key, None)
                model = CLIPTextModel(CLIPTextConfig(**config))
                state = {k.removeprefix("text_model."): v for k, v in state.items() if "position_ids" not in k}
                model.load_state_dict(state)
            else:
                classes = {c.__name__: c for c in (WuerstchenPrior, WuerstchenDiffNeXt, PaellaVQModel)}
                model = classes[kind](**config)
                model.load_state_dict(state)
            self.cache[part, precision] = set_precision(model, precision)
        return self.cache[part, precision]

    def scheduler(self, folder, precision):
        config = json.loads((self.root / folder / "scheduler/scheduler_config.json").read_text())
        return make_scheduler(config["scaler"], config["s"], precision)

    def tokenizer(self, folder):
        path = self.root / folder / "tokenizer"
        config = json.loads((path / "tokenizer_config.json").read_text())
        special = {k: config[k]["content"] for k in ("bos_token", "eos_token", "unk_token")}
        return PreTrainedTokenizerFast(
            tokenizer_file=str(path / "tokenizer.json"), model_max_length=config["model_max_length"],
            pad_token=config["pad_token"], **special,
        )

    def ids(self, folder, texts):
        """Ids and mask by the tokenizers library alone, padded to the context length."""
        path = self.root / folder / "tokenizer"
        config = json.loads((path / "tokenizer_config.json").read_text())
        tokenizer = tokenizers.Tokenizer.from_file(str(path / "tokenizer.json"))
        length = config["model_max_length"]
        tokenizer.enable_truncation(length)
        tokenizer.enable_padding(pad_id=tokenizer.token_to_id(config["pad_token"]), pad_token=config["pad_token"], length=length)
        encoded = tokenizer.encode_batch(list(texts))
        return torch.tensor([e.ids for e in encoded]), torch.tensor([e.attention_mask for e in encoded])


def make_scheduler(scaler, s, precision):
    scheduler = DDPMWuerstchenScheduler(scaler=scaler, s=s)
    if precision != F32:
        scheduler.s = torch.tensor([s], dtype=torch.float64)
        scheduler._init_alpha_cumprod = torch.cos(scheduler.s / (1 + scheduler.s) * torch.pi * 0.5) ** 2
        plain = scheduler.set_timesteps

        def set_timesteps(*args, **kw):
            plain(*args, **kw)
            scheduler.timesteps = scheduler.timesteps.double()

        scheduler.set_timesteps = set_timesteps
    return scheduler


@contextlib.contextmanager
def noise(record=None, replay=None, precision=F32):
    """Writes down what the reference draws, or hands out given tensors in its place."""
    modules = [prior_pipeline_module, decoder_pipeline_module, scheduler_module]
    draw, queue = modules[0].randn_tensor, list(replay or [])

    def randn_tensor(shape, *args, **kw):
        if replay is not None:
            value = cast(queue.pop(0), precision)
            assert tuple(value.shape) == tuple(shape)
            return value
        record.append(draw(shape, *args, **kw))
        return record[-1].clone()

    for module in modules:
        module.randn_tensor = randn_tensor
    try:
        yield
    finally:
        for module in modules:
            module.randn_tensor = draw


# ---------------------------------------------------------------------------------------------------------------------
# One function per group: inputs, parameters and scalars in, outputs out, at any precision


def op_module(name, p, s):
    shape = {k: tuple(v.shape) for k, v in p.items()}
    plain = name.removeprefix("op_")
    if plain == "layernorm_channels":
        return common.WuerstchenLayerNorm(s["channels"], elementwise_affine=False, eps=s["eps"])
    if plain == "layernorm_affine":
        return nn.LayerNorm(shape["weight"][0], eps=s["eps"])
    if plain == "grn":
        return common.GlobalResponseNorm(shape["gamma"][-1])
    if plain.startswith("batchnorm_eval"):
        return nn.BatchNorm2d(shape["running_mean"][0], eps=s["eps"], affine="weight" in p)
    if plain in ACTIVATIONS:
        return ACTIVATIONS[plain]
    if plain == "depthwise3x3_zero_pad":
        return nn.Conv2d(shape["bias"][0], shape["bias"][0], 3, padding=1, groups=shape["bias"][0])
    if plain == "depthwise3x3_replicate_pad":
        width = shape["1.bias"][0]
        return nn.Sequential(nn.ReplicationPad2d(1), nn.Conv2d(width, width, 3, groups=width))
    if plain.startswith("conv_"):
        layer = nn.ConvTranspose2d if "transpose" in plain else nn.Conv2d
        inputs, outputs = shape["weight"][:2] if "transpose" in plain else shape["weight"][1::-1]
        kernel, stride, padding = (2, 2, 0) if plain.endswith("k2s2") else (4, 2, 1)
        return layer(inputs, outputs, kernel, stride, padding)
    if plain == "pixel_unshuffle":
        return nn.PixelUnshuffle(s["factor"])
    if plain == "pixel_shuffle":
        return nn.PixelShuffle(s["factor"])
    if plain.startswith("resblock_stage_c"):
        width = shape["depthwise.weight"][0]
        return common.ResBlock(width, (shape["depthwise.weight"][1] - 1) * width)
    if plain.startswith("resblock_stage_b"):
        width = shape["depthwise.weight"][0]
        return stage_b_module.ResBlockStageB(width, shape["channelwise.0.weight"][1] - width)
    if plain == "timestep_block":
        return common.TimestepBlock(shape["mapper.weight"][0] // 2, shape["mapper.weight"][1])
    if plain.startswith("attn_block"):
        width, conditioning = shape["kv_mapper.1.weight"]
        return common.AttnBlock(width, conditioning, s["heads"], self_attn=s["self_attn"])
    if plain == "mixing_residual_block":
        return MixingResidualBlock(shape["channelwise.0.weight"][1], shape["channelwise.0.weight"][0])
    if plain == "squeeze_excite":
        return SqueezeExcite(shape["fc1.weight"][1], shape["fc1.weight"][0])
    if "mbconv" in plain:
        fused, last = plain.startswith("fused"), max(k for k in p if k.endswith(".0.weight"))
        return InvertedBlock(
            shape["block.0.0.weight"][1], shape[last][0], s["expand"], s["stride"], fused, s["bn_eps"],
            None if fused else shape["block.2.fc1.weight"][0],
        )
    raise KeyError(name)


class Lambda(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.forward = function


ACTIVATIONS = {
    "gelu_erf": nn.GELU(), "quick_gelu": QuickGELUActivation(), "silu": nn.SiLU(), "leaky_relu_0_2": nn.LeakyReLU(0.2),
    "float_to_uint8": Lambda(lambda x: to_uint8(x.float())),
}


def to_uint8(x):
    return (x.clamp(0, 1) * 255).round().to(torch.uint8)


def compute_op(name, i, p, s, root, precision):
    if name.startswith("op_bicubic"):
        size = (s["out_height"], s["out_width"])
        return {"y": F.interpolate(i["x"], size=size, mode="bicubic", antialias=True, align_corners=True)}
    if name.startswith("op_r_embedding"):
        function = {F32: r_embedding_reference, F64: r_embedding_float64, F64_SAME_R: r_embedding_recipe}[precision]
        return {"y": function(i["r"], s["c_r"])}
    module = op_module(name, p, s)
    module.load_state_dict(p)
    module = cast(module.eval(), precision)
    arguments = [i[k] for k in ("x", "x_skip", "t", "kv") if k in i]
    return {"y": module(*arguments)}


def compute_rng(name, i, p, s, root, precision, wanted=()):
    outputs, stream = {}, torch.Generator().manual_seed(s["seed"])
    for key in sorted(wanted, key=lambda k: int(k.split("_")[1]) if k.startswith("stream") else -1):
        count = int(key.rpartition("_")[2])
        fresh = torch.Generator().manual_seed(s["seed"])
        if key.startswith("uniform"):
            outputs[key] = torch.rand(count, generator=fresh)
        else:
            outputs[key] = torch.randn(count, generator=stream if key.startswith("stream") else fresh)
    return {k: outputs[k] for k in wanted}


def compute_text(name, i, p, s, root, precision):
    model = root.model(s["weights"], precision)
    out = model(i["input_ids"], attention_mask=i["attention_mask"], output_hidden_states=True)
    return {
        "last_hidden_state": out.last_hidden_state, "pooled": out.pooler_output,
        "embeddings": out.hidden_states[0], "after_layer_1": out.hidden_states[1],
    }


def compute_stage_c(name, i, p, s, root, precision):
    model, out = root.model(s["weights"], precision), {}
    hooks = []
    for index, block in enumerate(model.blocks):
        hooks.append(block.register_forward_hook(lambda m, a, y, index=index: out.__setitem__(f"block_{index}", y)))
    y = model(i["x"], i["r"], i["text"])
    for hook in hooks:
        hook.remove()
    return {
        "y": y, "r_embed": model.gen_r_embedding(i["r"]), "projection": model.projection(i["x"]),
        "cond_mapper": model.cond_mapper(i["text"])[:, :4], **out,
    }


def compute_stage_b(name, i, p, s, root, precision):
    if "config" in s:
        model = WuerstchenDiffNeXt(**s["config"])
        model.load_state_dict(p)
        model = set_precision(model, precision)
    else:
        model = root.model(s["weights"], precision)
    with double_interpolation(precision):
        if "clip" not in i:
            return {"y": model(i["x"], i["r"], i["effnet"])}
        run = lambda effnet, clip, **kw: model(i["x"], i["r"], effnet, clip, **kw)
        a, b = run(i["effnet"], i["clip"], return_noise=False)
        out = {
            "y": run(i["effnet"], i["clip"]), "a": a, "b": b,
            "y_zero_clip": run(i["effnet"], torch.zeros_like(i["clip"])),
            "y_zero_effnet": run(torch.zeros_like(i["effnet"]), i["clip"]),
        }
        text = model.gen_c_embeddings(i["clip"])
        levels = model._down_encode(model.embedding(i["x"]), model.gen_r_embedding(i["r"]), i["effnet"], text)
        for level, value in enumerate(reversed(levels)):
            out[f"down_level_{level}"] = value
        out["text_4_tokens"] = text[:, :4]
    return out


def compute_stage_a(name, i, p, s, root, precision):
    model = root.model(s["weights"], precision)
    if "latent" in i:
        quantised, _, (_, _, indices) = model.vquantizer(i["latent"])
        b, _, h, w = i["latent"].shape
        return {
            "decoded": model.decode(i["latent"]).sample, "indices": indices.reshape(b, h, w), "quantised": quantised,
            "decoded_quantised": model.decode(i["latent"], force_not_quantize=False).sample,
        }
    latent = model.encode(i["image"]).latents
    return {"latent": latent, "decoded": model.decode(latent).sample, "after_in_block": model.in_block(i["image"])}


def compute_scheduler(name, i, p, s, root, precision):
    scheduler = make_scheduler(s["scaler"], s["s"], precision)
    if s["num_inference_steps"] is None:
        scheduler.set_timesteps(timesteps=STAGE_C_TIMESTEPS)
    else:
        scheduler.set_timesteps(s["num_inference_steps"])
    t, x = scheduler.timesteps, i["x"]
    previous = torch.cat([scheduler.previous_timestep(v[None]) for v in t[:-1]])
    bar, bar_previous = scheduler._alpha_cumprod(t[:-1], "cpu"), scheduler._alpha_cumprod(previous, "cpu")
    alpha = bar / bar_previous
    coefficients = torch.stack([
        (1 / alpha).sqrt(), (1 - alpha) / (1 - bar).sqrt(),
        ((1 - alpha) * (1 - bar_previous) / (1 - bar)).sqrt() * (previous != 0),
    ], dim=1)
    stepped, noised = [], []
    for index in s["step_index"]:
        now = t[index].expand(x.shape[0])
        with noise(replay=[i["noise"]], precision=precision):
            stepped.append(scheduler.step(i["model_output"], now, x).prev_sample)
        noised.append(scheduler.add_noise(x, i["noise"], now))
    return {
        "timesteps": t, "alpha_cumprod": scheduler._alpha_cumprod(t, "cpu"), "previous_timestep": previous,
        "coefficients": coefficients, "stepped": torch.stack(stepped), "added_noise": torch.stack(noised),
    }


def compute_compressor(name, i, p, s, root, precision):
    model, out = compressor(s["seed"], precision), {}
    dtype = i["image"].dtype
    mean, std = (torch.tensor(v, dtype=dtype).view(1, 3, 1, 1) for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    x = out["normalised"] = (i["image"] - mean) / std
    for index, stage in enumerate(model.backbone):
        x = stage(x)
        out[f"stage{index}" if index < 7 else "features"] = x
    mapped, norm = model.mapper[0](x), model.mapper[1]
    out["latent"] = norm(mapped)
    out["latent_no_affine"] = F.batch_norm(mapped, norm.running_mean, norm.running_var, eps=norm.eps)
    out["training_target"] = (out["latent"] + 1) / 42
    return out


def seeded(seed):
    if isinstance(seed, list):
        return [torch.Generator().manual_seed(v) for v in seed]
    return torch.Generator().manual_seed(seed)


@contextlib.contextmanager
def watch(pipe):
    """Records scheduler steps and what goes through the text encoder."""
    log = dict(steps=[], ids=[], masks=[], text=[])
    step = pipe.scheduler.step

    def watched(model_output, timestep, sample, **kw):
        out = step(model_output=model_output, timestep=timestep, sample=sample, **kw)
        log["steps"].append((timestep[0], sample, model_output, out.prev_sample))
        return out

    def text_hook(module, arguments, keywords, output):
        log["ids"].append(arguments[0])
        log["masks"].append(keywords["attention_mask"])
        log["text"].append(output.last_hidden_state)

    pipe.scheduler.step = watched
    hook = pipe.text_encoder.register_forward_hook(text_hook, with_kwargs=True)
    try:
        yield log
    finally:
        hook.remove()


def run_prior(root, s, precision, generator=None, replay=None):
    folder = "checkpoint/wuerstchen-prior"
    index = json.loads((root.root / folder / "model_index.json").read_text())
    pipe = PriorPipeline(
        tokenizer=root.tokenizer(folder), text_encoder=root.model(PRIOR_TEXT_PART, precision),
        prior=root.model(PRIOR_PART, precision), scheduler=root.scheduler(folder, precision),
        latent_mean=index["latent_mean"], latent_std=index["latent_std"], resolution_multiple=index["resolution_multiple"],
    )
    pipe.set_progress_bar_config(disable=True)
    if s["prior_steps"] == "default":
        steps = dict(timesteps=prior_pipeline_module.DEFAULT_STAGE_C_TIMESTEPS)
    else:
        steps = dict(num_inference_steps=s["prior_steps"])
    drawn = []
    with watch(pipe) as log, noise(record=drawn, replay=replay, precision=precision):
        embeddings = pipe(
            prompt=s.get("prompts", s.get("prompt")), negative_prompt=s.get("negative_prompts", s.get("negative_prompt")),
            num_images_per_prompt=s.get("images_per_prompt", 1), height=s["requested_height"], width=s["requested_width"],
            guidance_scale=s["prior_guidance"], generator=generator, output_type="pt", **steps,
        ).image_embeddings
    return dict(
        drawn=drawn, ids=torch.cat(log["ids"]), masks=torch.cat(log["masks"]), text=log["text"][0],
        prior_timesteps=torch.stack([v[0] for v in log["steps"]]),
        prior_latents=torch.stack([v[1] for v in log["steps"]] + [log["steps"][-1][3]]),
        prior_predictions=torch.stack([v[2] for v in log["steps"]]), image_embeddings=embeddings,
    )


def run_decoder(root, s, embeddings, precision, generator=None, replay=None):
    folder = "checkpoint/wuerstchen"
    index = json.loads((root.root / folder / "model_index.json").read_text())
    pipe = DecoderPipeline(
        tokenizer=root.tokenizer(folder), text_encoder=root.model(DECODER_TEXT_PART, precision),
        decoder=root.model(DECODER_PART, precision), scheduler=root.scheduler(folder, precision),
        vqgan=root.model(VQGAN_PART, precision), latent_dim_scale=index["latent_dim_scale"],
    )
    pipe.set_progress_bar_config(disable=True)
    drawn = []
    with watch(pipe) as log, noise(record=drawn, replay=replay, precision=precision), double_interpolation(precision):
        image = pipe(
            cast(embeddings, precision), prompt=s["prompt"], negative_prompt=s["negative_prompt"],
            num_inference_steps=s["decoder_steps"], guidance_scale=s["decoder_guidance"], generator=generator, output_type="pt",
        ).images
    return dict(
        drawn=drawn, ids=torch.cat(log["ids"]), masks=torch.cat(log["masks"]), text=log["text"][0],
        decoder_timesteps=torch.stack([v[0] for v in log["steps"]]),
        decoder_latents=torch.stack([v[1] for v in log["steps"]] + [log["steps"][-1][3]]),
        image=image, image_uint8=to_uint8(image.permute(0, 2, 3, 1)),
    )


def compute_pipeline(name, i, p, s, root, precision):
    """float32 uses the seed; float64 reuses the recorded noise, or for a chain the noise kept from the float32 run."""
    if name.endswith("_chain"):
        key = name.removesuffix("_chain")
        if precision == F32:
            generator = seeded(s["seed"])
            prior = run_prior(root, s, precision, generator)
            decoder = run_decoder(root, s, prior["image_embeddings"], precision, generator)
            CHAIN_RUNS[key] = (prior, decoder)
        else:
            noises = [run["drawn"] for run in CHAIN_RUNS[key]]
            prior = run_prior(root, s, precision, replay=noises[0])
            decoder = run_decoder(root, s, prior["image_embeddings"], precision, replay=noises[1])
        return {
            "image_embeddings": prior["image_embeddings"], "decoder_final_latents": decoder["decoder_latents"][-1],
            "image_uint8": decoder["image_uint8"],
        }
    recorded = [i["initial_latents"], *i["step_noise"]]
    if "image_embeddings" in i:
        run = run_decoder(root, s, i["image_embeddings"], precision, replay=recorded)
    else:
        run = run_prior(root, s, precision, replay=recorded)
    assert torch.equal(run["ids"], i["input_ids"][: len(run["ids"])]), "the pipeline saw other ids"
    assert torch.equal(run["masks"], i["attention_mask"][: len(run["masks"])])
    return {k: v for k, v in run.items() if k not in ("drawn", "ids", "masks")}


CHAIN_RUNS = {}
COMPUTE = {
    "op": compute_op, "text": compute_text, "stage_c": compute_stage_c, "stage_b": compute_stage_b,
    "stage_a": compute_stage_a, "scheduler": compute_scheduler, "semantic_compressor": compute_compressor,
    "pipeline": compute_pipeline,
}


def compute(group, name, inputs, parameters, scalars, root, precision, wanted):
    if group == "rng":
        return compute_rng(name, inputs, parameters, scalars, root, precision, wanted)
    if name == "op_float_to_uint8":
        precision = F32
    out = COMPUTE[group](name, cast(inputs, precision), cast(parameters, precision), scalars, root, precision)
    return {k: out[k] for k in (wanted or out)}


# ---------------------------------------------------------------------------------------------------------------------
# Cases


def round_up(value):
    """Up to one significant digit."""
    exponent = math.floor(math.log10(value))
    return float(f"{math.ceil(value / 10.0**exponent - 1e-9)}e{exponent}")


def significant(value):
    return float(f"{value:.3g}")


FLOOR = 3e-6
RULES = {  # factor on the measured error, floor relative to the largest value (or 1), rtol
    "op": (10, FLOOR, 1e-5), "rng": (10, FLOOR, 1e-5), "text": (10, FLOOR, 1e-4), "stage_a": (10, FLOOR, 1e-4),
    "stage_b": (5, FLOOR, 1e-4), "stage_c": (5, FLOOR, 1e-4), "scheduler": (10, FLOOR, 1e-4),
    "semantic_compressor": (10, FLOOR, 1e-4), "pipeline": (5, 1e-5, 1e-3), "chain": (20, 1e-5, 2e-3), "tight": (5, FLOOR, 2e-5),
}
TIGHT = {"stage_b", "stage_c", "pipeline"}
NO_TIGHT = {"r_embed", "text", "image_uint8"}


class Writer:
    def __init__(self, directory):
        self.directory, self.root, self.cases = directory, Checkpoint(directory), []
        (directory / "cases").mkdir(parents=True, exist_ok=True)

    def add(self, group, name, tests, inputs=None, parameters=None, scalars=None, outputs=None, exact=(), notes=None):
        """Computes the outputs (those named, or all) in float32 and float64 and stores the case."""
        inputs, parameters, scalars = inputs or {}, parameters or {}, scalars or {}
        run = lambda precision: compute(group, name, inputs, parameters, scalars, self.root, precision, outputs)
        plain = run(F32)
        double = {} if group == "rng" else run(F64)
        chain = name.endswith("_chain")
        tight = (group in TIGHT and not chain) or name.startswith("op_r_embedding")
        same = run(F64_SAME_R) if tight else {}
        rules = RULES["chain" if chain else group]
        tolerance, tight_tolerance, measured = {}, {}, {}
        for key, value in plain.items():
            out = "out." + key
            if key == "image_uint8":
                difference = (value.int() - double[key].int()).abs()
                fraction = float((difference > 0).double().mean())
                tolerance[out] = {
                    "max_abs_difference": 2 if chain else 1,
                    "max_fraction_differing": round_up(max(20 * fraction, 0.02) if chain else max(10 * fraction, 0.005)),
                }
                measured[out] = {"f32_vs_f64_fraction_differing": significant(fraction), "f32_vs_f64_max": int(difference.max())}
                continue
            if key in exact or not value.is_floating_point():
                tolerance[out] = {"exact": True}
                if key in double:
                    assert torch.equal(value, double[key].to(value.dtype)), (name, key)
                continue
            largest = float(value.abs().max())
            scale = max(largest, 1.0)
            assert torch.isfinite(value).all() and largest > 0, (name, key)
            measured[out] = {"abs_max": round(largest, 6), "std": round(float(value.double().std(correction=0)), 6)}
            error = float((value.double() - double[key]).abs().max()) if key in double else 0.0
            if key in double:
                measured[out]["f32_vs_f64"] = significant(error)
            tolerance[out] = {"atol": round_up(max(rules[0] * error, rules[1] * scale)), "rtol": rules[2]}
            if key in same and key not in NO_TIGHT:
                error = float((value.double() - same[key]).abs().max())
                measured[out]["f32_vs_f64_same_r_embedding"] = significant(error)
                rtol = 1e-5 if group == "op" else RULES["tight"][2]
                tight_tolerance[out] = {"atol": round_up(max(5 * error, FLOOR * scale)), "rtol": rtol}
        self.store(group, name, tests, inputs, parameters, plain, scalars, tolerance, tight_tolerance, measured, notes)
        return plain

    def store(self, group, name, tests, inputs, parameters, outputs, scalars, tolerance, tight_tolerance, measured, notes):
        tensors, described = {}, []
        for prefix, values in (("in.", inputs), ("param.", parameters), ("out.", outputs)):
            values = {prefix + k: v.clone().contiguous() for k, v in values.items()}
            tensors.update(values)
            described.append({
                k: {"shape": list(v.shape), "dtype": str(v.dtype).removeprefix("torch.")} for k, v in values.items()
            })
        file = f"cases/{name}.safetensors"
        save_file(tensors, str(self.directory / file))
        case = dict(
            name=name, group=group, file=file, tests=tests, inputs=described[0], parameters=described[1],
            outputs=described[2], scalars=scalars, tolerance=tolerance,
        )
        if tight_tolerance:
            case["tight_tolerance"] = tight_tolerance
        case["measured"] = measured
        if notes:
            case["notes"] = notes
        self.cases.append(case)


def op_cases(writer, source):
    def add(name, tests, module=None, scalars=None, outputs=None, exact=(), notes=None, **inputs):
        label = "op_" + name
        parameters = fill(module, source, label) if module is not None else {}
        values = {k: source.normal(f"{label}/in.{k}", *v) if isinstance(v, tuple) else v for k, v in inputs.items()}
        writer.add("op", label, tests, values, parameters, scalars, outputs, exact, notes)

    x = source.normal("op_layernorm_channels/in.x", 2, 10, 3, 5, scale=1.5, shift=0.3)
    x[0, :, 0, 0] = 0.25 + 1e-3 * x[0, :, 0, 0]
    add("layernorm_channels", "Norm over the channels of NCHW without weights; one pixel varies so little that eps matters.",
        scalars={"eps": 1e-6, "channels": 10}, x=x)
    add("layernorm_affine", "Norm over the last axis with weight and bias, as in the text encoder.", nn.LayerNorm(9), {"eps": 1e-5}, x=(2, 5, 9))
    add("grn", "Global response norm in NHWC: spatial L2 norm per channel over its mean across channels.", common.GlobalResponseNorm(20), x=(2, 3, 5, 20))
    add("batchnorm_eval", "Batch norm with running statistics, weight and bias.", nn.BatchNorm2d(7), {"eps": 1e-5}, x=(2, 7, 3, 4))
    add("batchnorm_eval_no_affine", "Batch norm with running statistics alone.", nn.BatchNorm2d(7, affine=False), {"eps": 1e-5}, x=(2, 7, 3, 4))
    line = torch.cat([torch.linspace(-8, 8, 65), source.normal("op_activations", 31, scale=3)])
    add("gelu_erf", "GELU by the error function.", x=line)
    add("quick_gelu", "x * sigmoid(1.702 x).", x=line)
    add("silu", "x * sigmoid(x).", x=line)
    add("leaky_relu_0_2", "Slope 0.2 below zero.", x=line)
    pixels = torch.cat([torch.linspace(-0.3, 1.3, 81), (torch.arange(255) + 0.5) / 255, source.uniform("op_float_to_uint8", 64)])
    add("float_to_uint8", "Clamp to [0, 1], times 255 in float32, halves to even.", x=pixels)
    add("depthwise3x3_zero_pad", "Depthwise 3x3 with a border of zeros.", nn.Conv2d(9, 9, 3, padding=1, groups=9), x=(2, 9, 4, 7))
    add("depthwise3x3_replicate_pad", "Depthwise 3x3 with a repeated border.",
        nn.Sequential(nn.ReplicationPad2d(1), nn.Conv2d(9, 9, 3, groups=9)), x=(2, 9, 4, 7))
    add("conv_k2s2", "Downsampling of stage B.", nn.Conv2d(7, 10, 2, 2), x=(2, 7, 6, 10))
    add("conv_transpose_k2s2", "Upsampling of stage B; the weight is [in, out, kh, kw].", nn.ConvTranspose2d(10, 6, 2, 2), x=(2, 10, 3, 5))
    add("conv_k4s2p1", "Downsampling of stage A.", nn.Conv2d(7, 10, 4, 2, 1), x=(1, 7, 6, 10))
    add("conv_transpose_k4s2p1", "Upsampling of stage A; the weight is [in, out, kh, kw].", nn.ConvTranspose2d(10, 6, 4, 2, 1), x=(1, 10, 3, 5))
    add("pixel_unshuffle", "Space to depth, the input channel outermost.", scalars={"factor": 3}, exact=("y",), x=(2, 2, 6, 9))
    add("pixel_shuffle", "Depth to space.", scalars={"factor": 3}, exact=("y",), x=(2, 18, 2, 3))
    for edge, (h, w), (oh, ow) in (
        ("", (3, 3), (8, 8)), ("", (5, 7), (12, 10)), ("", (13, 9), (5, 4)), ("edge_", (1, 4), (6, 1)), ("", (6, 11), (9, 4)),
    ):
        add(f"bicubic_{edge}{h}x{w}_to_{oh}x{ow}", f"Bicubic, antialias and align_corners on, {h}x{w} to {oh}x{ow}.",
            scalars={"out_height": oh, "out_width": ow}, x=(1, 2, h, w))
    add("resblock_stage_c", "Residual block of stage C.", common.ResBlock(10), x=(2, 10, 3, 5))
    add("resblock_stage_c_skip", "The same with a skip of its own width: a grouped convolution over the concatenation, two inputs to a group.",
        common.ResBlock(6, 6), x=(2, 6, 3, 5), x_skip=(2, 6, 3, 5))
    add("resblock_stage_b", "Residual block of stage B.", stage_b_module.ResBlockStageB(10), x=(2, 10, 5, 3))
    add("resblock_stage_b_skip", "The same with a skip, joined after the norm and behind x.", stage_b_module.ResBlockStageB(8, 13),
        x=(2, 8, 5, 3), x_skip=(2, 13, 5, 3))
    add("timestep_block", "x * (1 + a) + b, a and b the halves of a linear layer of t.", common.TimestepBlock(10, 18), x=(2, 10, 3, 5), t=(2, 18))
    for kind, self_attn in (("self", True), ("cross_only", False)):
        add(f"attn_block_{kind}", "Attention block" + (", image tokens before text tokens." if self_attn else " with text tokens alone."),
            common.AttnBlock(15, 11, 3, self_attn=self_attn), {"heads": 3, "self_attn": self_attn}, x=(2, 15, 3, 4), kv=(2, 5, 11),
            notes="to_k.bias cannot matter: it shifts all scores of a query alike.")
    add("mixing_residual_block", "Residual block of stage A with its six gammas.", MixingResidualBlock(7, 28), x=(2, 7, 3, 5))
    r = torch.tensor([1.0, 0.0, 0.5, 1 / 3, 2 / 3, 0.0123, 0.29, 0.875, 1e-4] + STAGE_C_TIMESTEPS[1::4], dtype=torch.float32)
    for width in (28, 32, 35):
        add(f"r_embedding_{width}", "Sines, then cosines; an odd width ends in a zero.", scalars={"c_r": width}, r=r,
            notes="f_i = Float(exp(Double(Float(i) * Float(-log(10000) / (n/2 - 1))))), phase = (r * 10000) * f_i in float32. "
            "tight_tolerance is for this recipe, tolerance for frequencies an ulp away.")
    add("squeeze_excite", "Mean, 1x1, SiLU, 1x1, sigmoid, scale.", SqueezeExcite(9, 2), x=(2, 9, 3, 5))
    for name, arguments, size, tests in (
        ("mbconv_residual", (8, 8, 3, 1, False), (4, 5), "MBConv with its residual."),
        ("mbconv_stride2", (8, 10, 5, 2, False), (5, 7), "MBConv with stride 2 on an odd size."),
        ("fused_mbconv_expand1", (7, 7, 1, 1, True), (4, 5), "Fused MBConv without expansion."),
        ("fused_mbconv_stride2", (5, 9, 3, 2, True), (5, 7), "Fused MBConv with stride 2 on an odd size."),
    ):
        add(name, tests, InvertedBlock(*arguments), {"stride": arguments[3], "expand": arguments[2], "bn_eps": 1e-3}, x=(2, arguments[0], *size))


PROMPTS = ["a small red boat on the lake", "An owl reads the morning paper, ink drawing; 1920s style!", ""]


def model_cases(writer, source):
    root = writer.root
    seed = 3 * 2**33 + 1009
    sizes = [f"fresh_{n}" for n in (1, 6, 15, 16, 19, 33, 150)]
    sizes += [f"stream_{i}_{n}" for i, n in enumerate((5, 18, 2, 1, 108, 300, 3, 31))] + ["uniform_37"]
    writer.add("rng", f"rng_torch_cpu_seed_{seed}", "torch.randn and torch.rand on the CPU. fresh_N: N values from a new generator; stream_i_N: the i-th draw from one.",
               scalars={"seed": seed}, outputs=sizes, notes="Only the low 32 bits of the seed count.")

    for name, part, folder in (("text_prior", PRIOR_TEXT_PART, "wuerstchen-prior"), ("text_decoder", DECODER_TEXT_PART, "wuerstchen")):
        ids, mask = root.ids("checkpoint/" + folder, PROMPTS)
        config = root.config(part)
        writer.add("text", name, f"Text encoder of {folder} on {len(PROMPTS)} prompts, one of them empty.", {"input_ids": ids, "attention_mask": mask},
                   scalars={"prompts": PROMPTS, "weights": part, "hidden_act": config["hidden_act"], "eos_token_id": config["eos_token_id"]},
                   notes="The causal and the padding mask act together; padded positions belong to the result. pooled is taken where the id is largest if eos_token_id is 2, else at its first occurrence.")
    bos, eos = EXTRA_VOCABULARY - 2, EXTRA_VOCABULARY - 1
    ids = torch.full((3, CONTEXT), eos)
    mask = torch.zeros_like(ids)
    for row, length in enumerate((0, 7, CONTEXT - 2)):
        ids[row, 0] = bos
        ids[row, 1 : 1 + length] = source.integers(f"extra ids {row}", 0, bos, length)
        mask[row, : length + 2] = 1
    writer.add("text", "text_small_vocabulary_quick_gelu", f"A text encoder by itself: {EXTRA_VOCABULARY} tokens, quick_gelu, a real eos_token_id.",
               {"input_ids": ids, "attention_mask": mask}, outputs=["last_hidden_state", "pooled"],
               scalars={"weights": EXTRA_PART, "hidden_act": "quick_gelu", "eos_token_id": eos})

    ulp = "tolerance allows frequencies of the r embedding to be an ulp away, tight_tolerance does not."
    for batch, h, w, full in ((2, 4, 4, True), (1, 5, 7, False)):
        name = f"stage_c_{h}x{w}_batch{batch}"
        inputs = {
            "x": source.normal(name + "/x", batch, PRIOR["c_in"], h, w), "r": 0.1 + 0.9 * source.uniform(name + "/r", batch),
            "text": source.normal(name + "/text", batch, CONTEXT, PRIOR["c_cond"]),
        }
        writer.add("stage_c", name, "Stage C once" + (", with every block." if full else "."), inputs, scalars={"weights": PRIOR_PART},
                   outputs=None if full else ["y", "r_embed"], notes=ulp + " cond_mapper holds the first 4 tokens." * full)
    for batch, h, w, eh, ew, full in ((2, 8, 16, 3, 5, True), (1, 24, 16, 4, 3, False)):
        name = f"stage_b_{h}x{w}_effnet{eh}x{ew}_batch{batch}"
        inputs = {
            "x": source.normal(name + "/x", batch, 4, h, w), "r": 0.1 + 0.9 * source.uniform(name + "/r", batch),
            "effnet": source.normal(name + "/effnet", batch, DECODER["effnet_embd"], eh, ew),
            "clip": source.normal(name + "/clip", batch, CONTEXT, DECODER["clip_embd"]),
        }
        writer.add("stage_b", name, "Stage B once; again with text of zeros, and with an image embedding of zeros.", inputs,
                   scalars={"weights": DECODER_PART}, outputs=None if full else ["y", "a", "b", "y_zero_clip", "y_zero_effnet"],
                   notes=ulp + " y = (x - a) / b.")
    name, config = "stage_b_no_text_no_attention", DECODER_NO_TEXT
    inputs = {
        "x": source.normal(name + "/x", 1, 4, 16, 8), "r": 0.1 + 0.9 * source.uniform(name + "/r", 1),
        "effnet": source.normal(name + "/effnet", 1, config["effnet_embd"], 3, 5),
    }
    parameters = fill(WuerstchenDiffNeXt(**config), source, name, stage_b_overrides(config))
    writer.add("stage_b", name, "No text, which the reference allows only without attention. The weights are in the case.", inputs, parameters,
               {"config": dict(sorted(config.items()))}, notes=ulp + " The odd c_r makes the last input of every timestep layer zero.")

    for batch, h, w in ((2, 5, 4), (1, 3, 7)):
        name, salt = f"stage_a_decode_{h}x{w}_batch{batch}", 0
        while True:  # no pixel may lie almost as close to a second codebook entry
            latent = source.normal(f"{name}/latent {salt}", batch, 4, h, w, scale=0.8)
            book = root.model(VQGAN_PART, F64).vquantizer.embedding.weight
            nearest = torch.cdist(latent.double().permute(0, 2, 3, 1).reshape(-1, 4), book).sort(dim=1).values
            margin = float((nearest[:, 1] - nearest[:, 0]).min())
            if margin > 2e-3:
                break
            salt += 1
        writer.add("stage_a", name, "Stage A: decode as it is, look the latent up in the codebook, decode what was found.", {"latent": latent},
                   scalars={"weights": VQGAN_PART, "smallest_margin_between_two_nearest": margin},
                   notes="decoded is not clamped and the latent not multiplied by scale_factor.")
    for batch, h, w, full in ((1, 20, 12, True), (2, 8, 16, False)):
        name = f"stage_a_encode_{h}x{w}_batch{batch}"
        writer.add("stage_a", name, "Stage A: encode an image and decode it again.", {"image": source.uniform(name + "/image", batch, 3, h, w)},
                   scalars={"weights": VQGAN_PART}, outputs=["latent", "decoded"] + ["after_in_block"] * full,
                   notes="The latent is not divided by scale_factor.")

    for steps, scaler, s in ((None, 1.0, 0.008), (5, 1.0, 0.008), (12, 1.0, 0.008), (12, 1.45, 0.008), (12, 0.8, 0.03), (None, 1.2, 0.013)):
        name = "scheduler_default_stage_c" if steps is None else f"scheduler_uniform_{steps}"
        if (scaler, s) != (1.0, 0.008):
            name += f"_scaler{scaler}_s{s}"
        entries = len(STAGE_C_TIMESTEPS) if steps is None else steps + 1
        last = entries - 2
        inputs = {k: source.normal(f"{name}/{k}", 2, 3, 2, 3) for k in ("x", "model_output", "noise")}
        writer.add("scheduler", name, "The schedule and single steps with given noise.", inputs, exact=("previous_timestep",),
                   scalars={"scaler": scaler, "s": s, "num_inference_steps": steps, "entries": entries, "step_index": sorted({0, 1, last // 2, last - 1, last})},
                   notes="coefficients[i] = (p, q, n): next = p * (x - q * eps) + n * noise. stepped[j] and added_noise[j] belong to step_index[j].")

    for batch, h, w, full in ((1, 15, 18, True), (2, 35, 18, False)):
        name = f"semantic_compressor_{h}x{w}_batch{batch}"
        writer.add("semantic_compressor", name, "EfficientNetV2-S features, 1x1 convolution, batch norm; weights by the rule in the manifest.",
                   {"image": source.uniform(name + "/image", batch, 3, h, w)}, scalars={"seed": COMPRESSOR_SEED},
                   outputs=None if full else ["latent", "latent_no_affine", "training_target"],
                   notes="normalised = (image - mean) / deviation of ImageNet. latent_no_affine leaves the last batch norm's weight and bias out. training_target = (latent + 1) / 42.")


def pipeline_cases(writer):
    root = writer.root
    constants = dict(latent_mean=LATENT_MEAN, latent_std=LATENT_STD, resolution_multiple=RESOLUTION_MULTIPLE, latent_dim_scale=LATENT_DIM_SCALE)
    statistics = {}

    def text_inputs(folder, prompts, negatives):
        ids, mask = root.ids("checkpoint/" + folder, list(prompts) + list(negatives))
        return {"input_ids": ids, "attention_mask": mask}

    runs = (
        ("square", dict(
            prompt="a paper lantern in the snow", negative_prompt=None, requested_height=27, requested_width=30, prior_steps="default",
            prior_guidance=3.5, decoder_steps=4, decoder_guidance=0.0, seed=31)),
        ("wide_negative_cfg", dict(
            prompt="Three Herons over a GREY river, 35mm", negative_prompt="noise and blur", requested_height=25, requested_width=61, prior_steps=4,
            prior_guidance=5.5, decoder_steps=3, decoder_guidance=1.75, seed=2**33 + 4711)),
    )
    for name, scalars in runs:
        scalars = {**scalars, **constants, "scale_factor": VQGAN["scale_factor"]}
        generator = seeded(scalars["seed"])
        prior = run_prior(root, scalars, F32, generator)
        decoder = run_decoder(root, scalars, prior["image_embeddings"], F32, generator)
        texts = [scalars["prompt"]], [scalars["negative_prompt"] or ""]
        inputs = {
            **text_inputs("wuerstchen-prior", *texts), "initial_latents": prior["drawn"][0], "step_noise": torch.stack(prior["drawn"][1:]),
        }
        writer.add("pipeline", f"pipeline_{name}_prior", "The whole prior pipeline with its noise given.", inputs, scalars=scalars,
                   outputs=["prior_timesteps", "prior_latents", "prior_predictions", "text", "image_embeddings"],
                   notes="prior_latents[i] enters step i, the last leaves the last step. prior_predictions are guided. The last step_noise is drawn but has weight 0. input_ids: prompt, negative prompt.")
        inputs = {
            **text_inputs("wuerstchen", *texts), "image_embeddings": prior["image_embeddings"],
            "initial_latents": decoder["drawn"][0], "step_noise": torch.stack(decoder["drawn"][1:]),
        }
        whole = name == "square"
        out = writer.add("pipeline", f"pipeline_{name}_decoder", "The whole decoder pipeline with image embeddings and noise given.", inputs, scalars=scalars,
                         outputs=["decoder_timesteps", "decoder_latents", "text", "image"] + ["image_uint8"] * whole,
                         notes="image is clamped and NCHW" + (", image_uint8 NHWC, image * 255 rounded half to even." if whole else "."))
        writer.add("pipeline", f"pipeline_{name}_chain", "Prior, then decoder, from prompt and seed alone with one generator.", scalars=scalars,
                   outputs=["image_embeddings", "decoder_final_latents"] + ["image_uint8"] * (not whole),
                   notes="Draws: initial latents and every step of the prior, then initial latents and every step of the decoder.")
        image = out["image"]
        statistics[f"image_{name}"] = {
            "shape": list(image.permute(0, 2, 3, 1).shape), "mean": round(float(image.mean() * 255), 3), "std": round(float(image.std() * 255), 3),
            "clipped": round(float(((image == 0) | (image == 1)).double().mean()), 5),
        }

    scalars = dict(
        prompts=["a glass bell", "two foxes by the well"], negative_prompts=["", "text"], images_per_prompt=2, requested_height=32,
        requested_width=50, prior_steps=2, prior_guidance=2.5)
    for kind, seed in (("one_generator", 77), ("generator_per_image", [5, 6, 2**32 + 7, 8])):
        s = {**scalars, "seed": seed, **constants}
        run = run_prior(root, s, F32, seeded(seed))
        inputs = {
            **text_inputs("wuerstchen-prior", s["prompts"], s["negative_prompts"]), "initial_latents": run["drawn"][0],
            "step_noise": torch.stack(run["drawn"][1:]),
        }
        writer.add("pipeline", f"pipeline_prior_batch_{kind}", f"Prior pipeline, two prompts with two images each, {kind.replace('_', ' ')}.", inputs,
                   scalars=s, outputs=["prior_timesteps", "prior_latents", "prior_predictions", "image_embeddings"],
                   notes="Batch: both images of the first prompt, then those of the second. input_ids: prompts, then negatives.")
    embeddings = Source(0).normal("decoder batch", 2, DECODER["effnet_embd"], 3, 3, scale=12.0)
    for kind, seed in (("one_generator", 12), ("generator_per_image", [40, 41])):
        s = dict(prompt="a glass bell", negative_prompt=None, decoder_steps=2, decoder_guidance=0.0, seed=seed, **constants)
        run = run_decoder(root, s, embeddings, F32, seeded(seed))
        inputs = {
            **text_inputs("wuerstchen", [s["prompt"]], [""]), "image_embeddings": embeddings, "initial_latents": run["drawn"][0],
            "step_noise": torch.stack(run["drawn"][1:]),
        }
        writer.add("pipeline", f"pipeline_decoder_batch_{kind}", f"Decoder pipeline, two image embeddings and one prompt, {kind.replace('_', ' ')}.", inputs,
                   scalars=s, outputs=["decoder_timesteps", "decoder_latents", "image_uint8"])
    return statistics


# ---------------------------------------------------------------------------------------------------------------------
# Vocabulary

TRAINING_TEXT = """
The small boat leaves the harbour in the morning and comes back in the evening with the tide. An old painter is sitting
by the water, drawing the boats, the birds and the red houses on the other shore. She has painted the same lake for thirty
years, in the snow and in the rain, and she says that the light is never the same. In the winter the river freezes over and
the children go skating under the stars. There is a lantern in every window, and the baker's shop is open until midnight.
Two foxes live behind the well; the heron that stands in the reeds doesn't mind them. We've seen them there often, and
they're not afraid of us. I'm sure you'll find the owl in the tower, reading the weather in the clouds. He'd told us about
a glass bell that rings when the wind turns. A photograph of a mountain, a drawing of a forest, an oil painting of the sea:
high detail, soft light, wide angle, 35mm film, golden hour. Another picture, another story: the drawing shows a garden
with a stone bridge and three trees. The bright morning light falls on the grey stone. Nothing is hidden, everything is
shining. Le café est fermé, la rivière est grande. Die Brücke über den Fluß ist schön, die Häuser sind grün. El niño mira
la montaña. Привет, это старая картина. 日本の山と川の絵。日本の海。 ☀️ ☀️ 🎨 🎨 🌊 🌊 ... !!! -- ;) <3 (1999), [2024] 100% #art @home
"""


def byte_symbols():
    """A printable character for each byte: the byte itself where that is printable, else one from U+0100 on."""
    kept = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    symbols = {b: chr(b) for b in kept}
    for b in range(256):
        if b not in symbols:
            symbols[b] = chr(0x100 + len(symbols) - len(kept))
    return symbols


def learn_merges(count):
    pieces = re.findall(r"'(?:s|t|re|ve|m|ll|d)|[^\W\d_]+|\d|[^\s\w]+", TRAINING_TEXT.lower())
    symbols, words = byte_symbols(), {}
    for piece in pieces:
        letters = [symbols[b] for b in piece.encode()]
        word = (*letters[:-1], letters[-1] + "</w>")
        words[word] = words.get(word, 0) + 1
    merges = []
    while len(merges) < count:
        pairs = {}
        for word, times in words.items():
            for pair in zip(word, word[1:]):
                pairs[pair] = pairs.get(pair, 0) + times
        best = min(pairs, key=lambda p: (-pairs[p], p))
        merges.append(best)
        merged = {}
        for word, times in words.items():
            new, i = [], 0
            while i < len(word):
                step = 2 if word[i : i + 2] == best else 1
                new.append("".join(word[i : i + step]))
                i += step
            merged[tuple(new)] = merged.get(tuple(new), 0) + times
        words = merged
    return merges


START, END = "<|startoftext|>", "<|endoftext|>"


def write_tokenizer(folder, merges):
    letters = list(byte_symbols().values())
    entries = letters + [v + "</w>" for v in letters]
    for pair in merges:
        if "".join(pair) not in entries:
            entries.append("".join(pair))
    entries += [START, END]
    vocabulary = {token: index for index, token in enumerate(entries)}
    start, end = vocabulary[START], vocabulary[END]

    def added(token, normalized, **extra):
        return {**extra, "content": token, "single_word": False, "lstrip": False, "rstrip": False, "normalized": normalized}

    write_json(folder / "tokenizer.json", {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [
            {**added(START, True, id=start), "special": True},
            {**added(END, False, id=end), "special": True},
        ],
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "NFC"}, {"type": "Replace", "pattern": {"Regex": "\\s+"}, "content": " "}, {"type": "Lowercase"},
        ]},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": "'s|'t|'re|'ve|'m|'ll|'d|[\\p{L}]+|[\\p{N}]|[^\\s\\p{L}\\p{N}]+"}, "behavior": "Removed", "invert": True},
            {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
        ]},
        "post_processor": {"type": "RobertaProcessing", "sep": [END, end], "cls": [START, start], "trim_offsets": False, "add_prefix_space": False},
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {
            "type": "BPE", "dropout": None, "unk_token": END, "continuing_subword_prefix": "", "end_of_word_suffix": "</w>", "fuse_unk": False,
            "byte_fallback": False, "ignore_merges": False, "vocab": vocabulary, "merges": [" ".join(pair) for pair in merges],
        },
    }, ensure_ascii=False, separators=(",", ":"))
    write_json(folder / "vocab.json", vocabulary, ensure_ascii=False, separators=(",", ":"))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "".join(" ".join(pair) + "\n" for pair in merges), encoding="utf-8")
    special = lambda token: {"content": token, "lstrip": False, "normalized": True, "rstrip": False, "single_word": False}
    write_json(folder / "tokenizer_config.json", {
        "add_prefix_space": False, "bos_token": {"__type": "AddedToken", **special(START)}, "clean_up_tokenization_spaces": True,
        "do_lower_case": True, "eos_token": {"__type": "AddedToken", **special(END)}, "errors": "replace", "model_max_length": CONTEXT,
        "pad_token": END, "tokenizer_class": "CLIPTokenizer", "unk_token": {"__type": "AddedToken", **special(END)},
    })
    write_json(folder / "special_tokens_map.json", {
        "bos_token": special(START), "eos_token": special(END), "pad_token": END, "unk_token": special(END),
    })
    return vocabulary


TOKENIZER_TEXTS = {
    "fixed": ["", " ", "\n\t \r\n", "a", "the lake", "a drawing of the old bridge"],
    "ascii": [
        "The Small Boat", "UPPER lower MiXeD", "xylophone quartz jigsaw", "state-of-the-art", "snake_case_name", "camelCaseName", "a.b,c;d:e!f?g",
        "C:\\temp\\new", "mail@example.org", "https://example.org/a?b=c&d=%20#e", "{\"key\": [1, 2]}", "`code` ~tilde~ ^caret^ |bar|", "((nested) [brackets])",
        "***", "a+b=c", "$5 & £6", "\"quoted\" and 'quoted'", "!", "?!", "&amp; &lt;b&gt;",
    ],
    "contractions": [
        "I'm sure you'll see we've won", "they're not, he'd say it's", "DON'T SHOUT, IT'S LATE", "'s", "'S", "'t't're", "''s", "rock'n'roll", "the 1990's",
        "it\u2019s curly", "'", "l'eau d'ici", "'mother", "'leave", "!'s", "don''t",
    ],
    "digits": ["2024", "3.14159", "1,000,000", "35mm f/1.8", "007", "4k8k", "x2y3", "\u0661\u0662\u0663", "\u00bd \u00b2 \u2167 \u2460", "\uff11\uff12", "1st 2nd"],
    "unicode": [
        "caf\u00e9 \u00fcber \u00f1and\u00fa", "Fluss und Flu\u00df", "STRASSE STRA\u1e9eE", "\u0130stanbul I\u0131i\u0130", "\u039f\u0394\u03a5\u03a3\u03a3\u0395\u03a5\u03a3 \u03a3",
        "\u041f\u0440\u0438\u0432\u0435\u0442 \u041a\u0410\u0420\u0422\u0418\u041d\u0410", "\u65e5\u672c\u306e\u5c71\u3001\u5ddd", "\ud55c\uad6d\uc5b4", "\u0634\u0645\u0633 \u0642\u0645\u0631", "\u05e9\u05dc\u05d5\u05dd",
        "\u0928\u092e\u0938\u094d\u0924\u0947", "\u0e20\u0e32\u0e1e\u0e27\u0e32\u0e14", "\ufb01ne \ufb02ow \u01c4", "\u212b \u2126 K \u212a", "\u01c5 \u01f2", "\U0001d400\U0001d401 \U00010400", "\u10a0\u1c90", "\u2c00 \ua64a",
        "a\u4e2db\u6587c", "\u2014 \u2026 \u00ab\u00bb \u201equote\u201c", "\u00aa\u00ba", "\u02b0\u02b1",
    ],
    "emoji": [
        "\U0001f3a8 \U0001f30a", "\u2600\ufe0f", "\u2600", "\U0001f469\u200d\U0001f680 flies", "\U0001f44d\U0001f3fd", "\U0001f1eb\U0001f1f7\U0001f1ef\U0001f1f5", "sun\u2600sea\U0001f30asky",
        "\u00a9\u00ae\u2122", "1\ufe0f\u20e3", "\U0001f3a8\U0001f3a8\U0001f3a8!",
    ],
    "combining_marks": ["cafe\u0301", "A\u030angstro\u0308m", "x\u0301y\u0302", "\u1e69 s\u0323\u0307 s\u0307\u0323", "\u1112\u1161\u11ab", "\u0301alone", "q\u0307\u0323", "\u0344 \u0958", "\u05e9\u05c1", "e\u0301\u0301", "\U0001d15e"],
    "whitespace": [
        "two  spaces", "  both ends  ", "tab\tnew\nline\rreturn", "no\u00a0break", "thin\u2009em\u2003ideo\u3000graphic", "next\u0085line", "line\u2028paragraph\u2029end",
        "zero\u200bwidth", "\ufeffmark", "vertical\u000bform\u000cfeed", "\u1680ogham", "mongolian\u180evowel", "word\u2060joiner",
    ],
    "special_tokens": [
        START, END, f"before {START} after", f"before {END} after", f"{START}{END}", START.upper(), END.upper(), f"x{START}y", f"x{END}y", "<|endoftext", "|endoftext|>", "< |endoftext|>",
        "</w>", "a</w>", f"{END}{END} twice", f"<{START}>", "<|startofTEXT|>",
    ],
    "control_characters": ["\x00", "a\x00b", "\x01\x02\x03", "bell\x07", "del\x7f", "\x1b[31mred", "\x1c\x1d\x1e\x1f", "soft\u00adhyphen", "\u202eright\u202c", "\ufffd", "\ue000 \uffff", "\x80\x9f"],
    "repeats": ["aaaaaaaaaa", "the the the the", "!!!!!!!!", "........", "lalalala", "\u00e9\u00e9\u00e9\u00e9"],
    "truncated": [
        "the " * 22, "the " * 23, "the " * 24, "the " * 40, "x" * 60, "1" * 30, "\U0001f30a" * 12, "zq" * 11 + " end", "a drawing of " + "a mountain, " * 9,
        "\u65e5\u672c" * 20, "the " * 21 + "xyz", "the " * 22 + END,
    ],
}


def tokenizer_cases(directory):
    folder = directory / "checkpoint/wuerstchen-prior/tokenizer"
    tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    cut = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    cut.enable_truncation(CONTEXT)
    clip = transformers.CLIPTokenizer.from_pretrained(str(folder))
    wrapped = Checkpoint(directory).tokenizer("checkpoint/wuerstchen-prior")
    cases, differing = [], []
    for category, texts in TOKENIZER_TEXTS.items():
        for text in texts:
            ids, whole = cut.encode(text).ids, tokenizer.encode(text).ids
            case = {"category": category, "text": text, "ids": ids}
            if len(whole) > CONTEXT:
                case["untruncated_length"] = len(whole)
            cases.append(case)
            assert wrapped(text, truncation=True, max_length=CONTEXT).input_ids == ids, text
            if clip(text, truncation=True, max_length=CONTEXT).input_ids != ids:
                differing.append(text)
    end = tokenizer.token_to_id(END)
    name = f"transformers {transformers.__version__} CLIPTokenizer"
    write_json(directory / "tokenizer_cases.json", {
        "reference": f"tokenizers {tokenizers.__version__} on tokenizer.json",
        "format": f"ids: start, text, end, cut to {CONTEXT}; pad with pad_id to that length. untruncated_length is given where text was cut.",
        "pad_token": END, "pad_id": end, "bos_id": tokenizer.token_to_id(START), "eos_id": end, "length": CONTEXT,
        "other_implementations": {name: {"differing": len(differing), "examples": differing[:5]}}, "count": len(cases), "cases": cases,
    })
    return {"cases": len(cases), "truncated": sum("untruncated_length" in c for c in cases), "other_implementations": {name: {"differing": len(differing)}}}


# ---------------------------------------------------------------------------------------------------------------------
# Checkpoint


def stage_b_overrides(config):
    half = config["c_out"] * config["patch_size"] ** 2
    shift = torch.cat([torch.zeros(half), torch.full((half,), 2.0)])
    return [(r"^clf\.1\.weight$", 0.2, 0.0), (r"^clf\.1\.bias$", 1.0, shift)]


def text_config(base, vocabulary, dtype, **changes):
    return {
        "architectures": ["CLIPTextModel"], "attention_dropout": 0.0, "bos_token_id": 0, "dropout": 0.0, "eos_token_id": 2, "hidden_act": "gelu",
        "hidden_size": base["hidden_size"], "initializer_factor": 1.0, "initializer_range": 0.02, "intermediate_size": base["intermediate_size"],
        "layer_norm_eps": 1e-5, "max_position_embeddings": CONTEXT, "model_type": "clip_text_model", "num_attention_heads": base["num_attention_heads"],
        "num_hidden_layers": base["num_hidden_layers"], "pad_token_id": 1, "projection_dim": base["projection_dim"],
        "torch_dtype": str(dtype).removeprefix("torch."), "transformers_version": "4.33.0.dev0", "vocab_size": vocabulary, **changes,
    }


def build_text_model(config):
    ignored = ("architectures", "model_type", "torch_dtype", "transformers_version")
    return CLIPTextModel(CLIPTextConfig(**{k: v for k, v in config.items() if k not in ignored}))


def save_part(directory, part, stem, state, dtype, shards=1):
    folder = directory / part
    folder.mkdir(parents=True, exist_ok=True)
    state = {k: (v.to(dtype) if v.is_floating_point() else v).contiguous() for k, v in sorted(state.items())}
    if shards == 1:
        save_file(state, str(folder / f"{stem}.safetensors"), metadata={"format": "pt"})
        return
    sizes = {k: v.numel() * v.element_size() for k, v in state.items()}
    groups, total, used = [{} for _ in range(shards)], sum(sizes.values()), 0
    for key, value in state.items():
        groups[min(shards - 1, used * shards // total)][key] = value
        used += sizes[key]
    weight_map = {}
    for number, group in enumerate(groups, 1):
        name = f"{stem}-{number:05d}-of-{shards:05d}.safetensors"
        save_file(group, str(folder / name), metadata={"format": "pt"})
        weight_map.update({k: name for k in group})
    write_json(folder / f"{stem}.safetensors.index.json", {"metadata": {"total_size": total}, "weight_map": dict(sorted(weight_map.items()))}, indent=1)


def write_checkpoint(directory, source, vocabulary):
    version = {"_diffusers_version": "0.21.0.dev0"}
    prior, decoder = directory / "checkpoint/wuerstchen-prior", directory / "checkpoint/wuerstchen"

    def diffusers_part(part, cls, config, overrides):
        model = cls(**config)
        save_part(directory, part, "diffusion_pytorch_model", fill(model, source, part, overrides), DTYPES[part])
        write_json(directory / part / "config.json", {"_class_name": cls.__name__, **version, **dict(sorted(config.items()))}, indent=2)

    def text_part(part, config, dtype, position_ids=False):
        state = {"text_model." + k: v for k, v in fill(build_text_model(config), source, part).items()}
        if position_ids:
            state["text_model.embeddings.position_ids"] = torch.arange(CONTEXT)[None]
        save_part(directory, part, "model", state, dtype, SHARDED.get(part, 1))
        write_json(directory / part / "config.json", config, indent=2)

    diffusers_part(PRIOR_PART, WuerstchenPrior, PRIOR, [(r"^out\.1\.weight$", 0.12, 0.0)])
    diffusers_part(DECODER_PART, WuerstchenDiffNeXt, DECODER, stage_b_overrides(DECODER))
    diffusers_part(VQGAN_PART, PaellaVQModel, VQGAN, [(r"^out_block\.0\.weight$", 0.18, 0.0), (r"^out_block\.0\.bias$", 0.5, 0.5)])
    text_part(PRIOR_TEXT_PART, text_config(PRIOR_TEXT, vocabulary, DTYPES[PRIOR_TEXT_PART]), DTYPES[PRIOR_TEXT_PART])
    text_part(DECODER_TEXT_PART, text_config(DECODER_TEXT, vocabulary, DTYPES[DECODER_TEXT_PART]), DTYPES[DECODER_TEXT_PART])
    text_part(EXTRA_PART, text_config(
        EXTRA_TEXT, EXTRA_VOCABULARY, torch.float32, hidden_act="quick_gelu", bos_token_id=EXTRA_VOCABULARY - 2, eos_token_id=EXTRA_VOCABULARY - 1,
    ), torch.float32, position_ids=True)
    write_json(prior / "scheduler/scheduler_config.json", {"_class_name": "DDPMWuerstchenScheduler", **version, **PRIOR_SCHEDULER}, indent=2)
    write_json(decoder / "scheduler/scheduler_config.json", {"_class_name": "DDPMWuerstchenScheduler", **version, **DECODER_SCHEDULER}, indent=2)
    for folder, index in zip((prior, decoder), model_indices(LATENT_MEAN, LATENT_STD, RESOLUTION_MULTIPLE, LATENT_DIM_SCALE)):
        write_json(folder / "model_index.json", index, indent=2)


def model_indices(latent_mean, latent_std, resolution_multiple, latent_dim_scale):
    shared = {
        "scheduler": ["diffusers", "DDPMWuerstchenScheduler"], "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizerFast"],
    }
    prior = {
        "_class_name": "WuerstchenPriorPipeline", "_diffusers_version": "0.21.0.dev0", "latent_mean": latent_mean, "latent_std": latent_std,
        "prior": ["wuerstchen", "WuerstchenPrior"], "resolution_multiple": resolution_multiple, **shared,
    }
    decoder = {
        "_class_name": "WuerstchenDecoderPipeline", "_diffusers_version": "0.21.0.dev0", "decoder": ["wuerstchen", "WuerstchenDiffNeXt"],
        "latent_dim_scale": latent_dim_scale, **shared, "vqgan": ["wuerstchen", "PaellaVQModel"],
    }
    return prior, decoder


# ---------------------------------------------------------------------------------------------------------------------
# The published models, by shape only


def full_size_manifest(directory):
    published_prior = dict(c=1536, c_cond=1280, c_in=16, c_r=64, depth=32, dropout=0.1, nhead=24)
    published_decoder = dict(
        blocks=[4, 4, 14, 4], c_cond=1024, c_hidden=[320, 640, 1280, 1280], c_in=4, c_out=4, c_r=64, clip_embd=1024, dropout=0.1, effnet_embd=16,
        inject_effnet=[False, True, True, True], kernel_size=3, level_config=["CT", "CTA", "CTA", "CTA"], nhead=[-1, 10, 20, 20], patch_size=2,
    )
    published_vqgan = dict(
        bottleneck_blocks=12, embed_dim=384, in_channels=3, latent_channels=4, levels=2, num_vq_embeddings=8192, out_channels=3, scale_factor=0.3764,
        up_down_scale_factor=2,
    )

    def published_text(name, hidden, heads, layers, projection):
        base = dict(hidden_size=hidden, intermediate_size=4 * hidden, num_attention_heads=heads, num_hidden_layers=layers, projection_dim=projection)
        return {"_name_or_path": "laion/" + name, **text_config(base, 49408, torch.float32, max_position_embeddings=77)}

    def describe(folder, files, config, model, prefix="", **extra):
        state = {prefix + k: v for k, v in model.state_dict().items() if "position_ids" not in k}
        count = sum(v.numel() for v in state.values() if v.is_floating_point())
        return {
            "folder": folder, "files": files, "config": config, "parameters": count, "float32_bytes": 4 * count, **extra,
            "tensors": {k: [str(v.dtype).removeprefix("torch."), list(v.shape)] for k, v in state.items()},
        }

    version, parts = {"_diffusers_version": "0.21.0.dev0"}, {}
    weights = ["config.json", "diffusion_pytorch_model.safetensors"]
    with torch.device("meta"):
        parts["prior"] = describe("wuerstchen-prior/prior", weights, {"_class_name": "WuerstchenPrior", **version, **published_prior}, WuerstchenPrior(**published_prior))
        for key, folder, arguments in (
            ("prior_text_encoder", "wuerstchen-prior/text_encoder", ("CLIP-ViT-bigG-14-laion2B-39B-b160k", 1280, 20, 32, 512)),
            ("decoder_text_encoder", "wuerstchen/text_encoder", ("CLIP-ViT-H-14-laion2B-s32B-b79K", 1024, 16, 24, 1024)),
        ):
            config = published_text(*arguments)
            model = build_text_model({k: v for k, v in config.items() if k != "_name_or_path"})
            parts[key] = describe(folder, ["config.json", "model.safetensors"], config, model, "text_model.")
        parts["decoder"] = describe("wuerstchen/decoder", weights, {"_class_name": "WuerstchenDiffNeXt", **version, **published_decoder}, WuerstchenDiffNeXt(**published_decoder))
        parts["vqgan"] = describe("wuerstchen/vqgan", weights, {"_class_name": "PaellaVQModel", **version, **published_vqgan}, PaellaVQModel(**published_vqgan))
        parts["semantic_compressor"] = describe(None, [], {"backbone": "efficientnet_v2_s features", "c_latent": 16}, SemanticCompressor(),
                                                note="Not among the published folders; the name of each key is that of the original training code.")
    parts = {k: parts[k] for k in ("prior", "prior_text_encoder", "decoder", "decoder_text_encoder", "vqgan", "semantic_compressor")}
    indices = model_indices(42.0, 1.0, 42.67, 10.67)
    write_json(directory / "full_size_manifest.json", {
        "about": "Configurations of the published Wuerstchen v2 models and the tensors that follow from them, made on the meta device.",
        "published_sizes": ", ".join(f"{k} {v['float32_bytes'] / 1e9:.2f} GB" for k, v in parts.items() if v["folder"]) + " in float32.",
        "model_index": {"wuerstchen-prior": indices[0], "wuerstchen": indices[1]},
        "scheduler_config": {"_class_name": "DDPMWuerstchenScheduler", **version, "s": 0.008, "scaler": 1.0},
        "tokenizer_files": ["merges.txt", "special_tokens_map.json", "tokenizer.json", "tokenizer_config.json", "vocab.json"],
        "parts": parts,
    }, separators=(",", ":"))
    return {k: {"tensors": len(v["tensors"]), "parameters": v["parameters"]} for k, v in parts.items()}


# ---------------------------------------------------------------------------------------------------------------------
# Checks


def every_weight_matters(root, source):
    """Disturbs each tensor of the checkpoint in turn and looks for a change in what its part computes."""

    def text(model, part):
        ids, mask = root.ids(part.rpartition("/")[0], PROMPTS)
        every = torch.arange(model.config.vocab_size).reshape(-1)
        ids = torch.cat([ids, every[: len(every) // CONTEXT * CONTEXT].reshape(-1, CONTEXT)])
        return model(ids, attention_mask=torch.cat([mask, torch.ones_like(ids[len(mask) :])])).last_hidden_state

    def stage(model, *shapes):
        values = [source.normal(f"effect {n}", *shape).double() for n, shape in enumerate(shapes)]
        with double_interpolation(F64):
            return model(values[0], torch.tensor([0.31, 0.84]), *values[1:])

    def stage_a(model, image):
        latent = model.encode(image).latents
        return torch.cat([model.decode(2 * latent, force_not_quantize=plain).sample for plain in (True, False)])

    probes = {
        PRIOR_PART: lambda m: stage(m, (2, PRIOR["c_in"], 4, 5), (2, 6, PRIOR["c_cond"])),
        DECODER_PART: lambda m: stage(m, (2, 4, 16, 8), (2, DECODER["effnet_embd"], 3, 4), (2, 6, DECODER["clip_embd"])),
        VQGAN_PART: lambda m: stage_a(m, source.uniform("effect image", 2, 3, 24, 32).double()),
        PRIOR_TEXT_PART: lambda m: text(m, PRIOR_TEXT_PART), DECODER_TEXT_PART: lambda m: text(m, DECODER_TEXT_PART),
    }
    total, none, smallest = 0, [], (math.inf, "")
    for part, probe in probes.items():
        model = root.model(part, F64)
        before = probe(model)
        for key, tensor in {**model.state_dict()}.items():
            if not tensor.is_floating_point():
                continue
            kept = tensor.clone()
            tensor.add_(0.05 * kept.abs().mean() * source.normal("effect " + key, *kept.shape).double())
            effect = float((probe(model) - before).abs().max() / before.std())
            tensor.copy_(kept)
            total += 1
            if effect < 1e-9:
                none.append(f"{part}/{key}")
            else:
                smallest = min(smallest, (effect, f"{part}/{key}"))
    assert all(re.search(r"(to_k|k_proj)\.bias$", key) for key in none), none
    return {
        "tensors": total, "without_effect": len(none), "without_effect_are": "key projection biases only: softmax cancels them",
        "smallest_relative_effect": significant(smallest[0]), "smallest_is": smallest[1],
    }


def rerun(directory, names=None):
    """Computes stored cases again from what is on disk. Yields name, output, largest difference, share of the tolerance."""
    directory = pathlib.Path(directory)
    root = Checkpoint(directory)
    for case in json.loads((directory / "manifest.json").read_text())["cases"]:
        if names and case["name"] not in names:
            continue
        tensors = load_file(str(directory / case["file"]))
        part = lambda prefix: {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
        wanted = part("out.")
        names_here = [k for k in wanted if k != "image_crop"]
        scalars = case["scalars"]
        got = compute(case["group"], case["name"], part("in."), part("param."), scalars, root, F32, names_here)
        for key in names_here:
            rule, want = case["tolerance"]["out." + key], wanted[key]
            if want.shape != got[key].shape:
                yield case["name"], key, math.inf, math.inf
                continue
            difference = (got[key].double() - want.double()).abs()
            if "exact" in rule:
                share = 0.0 if torch.equal(got[key], want) else math.inf
            elif "atol" in rule:
                share = float((difference / (rule["atol"] + rule["rtol"] * want.double().abs())).max())
            else:
                share = max(float(difference.max()) / rule["max_abs_difference"], float((difference > 0).double().mean()) / rule["max_fraction_differing"])
            yield case["name"], key, float(difference.max()), share


def compare(directory):
    worst, equal, total, failed = {}, 0, 0, 0
    for name, key, difference, share in rerun(directory):
        total += 1
        equal += difference == 0
        failed += share > 1
        group = re.match(r"op|rng|text|stage_[abc]|scheduler|pipeline|semantic", name).group()
        worst[group] = max(worst.get(group, (0.0, "", 0.0)), (share, f"{name} {key}", difference))
    for group, (share, where, difference) in worst.items():
        print(f"{group:10} largest share of the tolerance {share:.3g}" + (f" ({where}, off by {difference:.3g})" if where else ""))
    print(f"{total} outputs, {equal} bit-identical, {failed} outside their tolerance")
    return failed == 0


def generate(directory, seed):
    if directory.exists():
        shutil.rmtree(directory)
    directory.mkdir(parents=True)
    source = Source(seed)
    merges = learn_merges(MERGES)
    for folder in ("wuerstchen-prior", "wuerstchen"):
        target = directory / "checkpoint" / folder / "tokenizer"
        target.mkdir(parents=True)
        vocabulary = write_tokenizer(target, merges)
    write_checkpoint(directory, source, len(vocabulary))
    checks = {"tokenizer": tokenizer_cases(directory), "full_size": full_size_manifest(directory)}

    writer = Writer(directory)
    op_cases(writer, source)
    model_cases(writer, source)
    checks.update(pipeline_cases(writer))
    checks["every_weight_matters"] = every_weight_matters(writer.root, source)
    widths = (PRIOR["c_r"], DECODER["c_r"], DECODER_NO_TEXT["c_r"])
    r = torch.cat([torch.linspace(0, 1, 501), torch.tensor(STAGE_C_TIMESTEPS)]).float()
    checks["r_embedding_recipe_max_abs_error"] = significant(
        max(float((r_embedding_reference(r, w).double() - r_embedding_recipe(r, w)).abs().max()) for w in widths))
    assert checks["r_embedding_recipe_max_abs_error"] < 1e-6, "choose other c_r: torch's exp rounds one frequency the other way"
    backbone = SemanticCompressor().backbone
    checks["efficientnet_v2_s_features_parameters"] = sum(v.numel() for v in backbone.parameters())

    state = compressor(COMPRESSOR_SEED, F32).state_dict()
    probes = {
        k: {"shape": list(state[k].shape), "first": state[k].flatten()[:3].tolist(), "last": float(state[k].flatten()[-1])} for k in COMPRESSOR_PROBES
    }
    manifest = {
        "format": 1, "profile": "committed", "seed": seed,
        "versions": {
            "torch": torch.__version__, "diffusers": diffusers.__version__, "transformers": transformers.__version__, "tokenizers": tokenizers.__version__,
            "safetensors": safetensors.__version__, "numpy": np.__version__, "python": platform.python_version(),
            "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        },
        "tolerance_rule": "Per output and element: |got - want| <= atol + rtol * |want|; exact: equal; 8-bit images: largest difference and share of values that may differ.",
        "tensors": "in. inputs, param. weights of the case, out. expected results; NCHW unless the case says otherwise.",
        "weight_dtypes": {k: DTYPE_NAMES[v] for k, v in DTYPES.items()},
        "pad_token": {"token": END, "id": vocabulary[END], "source": "pad_token in tokenizer_config.json of this set, as in the published one."},
        "default_stage_c_timesteps": torch.tensor(STAGE_C_TIMESTEPS, dtype=torch.float32).tolist(),
        "semantic_compressor_weights": {
            "seed": COMPRESSOR_SEED, "rule": COMPRESSOR_RULE, "probes": probes, "keys_and_shapes": {k: list(v.shape) for k, v in state.items()},
        },
        "checks": checks, "cases": writer.cases,
    }
    write_json(directory / "manifest.json", manifest)
    identical = {}
    for name, key, difference, share in rerun(directory):
        identical[name] = identical.get(name, True) and difference == 0
    assert all(identical.values()), [k for k, v in identical.items() if not v]
    checks["reloaded_and_rerun_bit_identical"] = len(identical)
    write_json(directory / "manifest.json", manifest)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=pathlib.Path, help="directory to write; what was there is removed")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--compare", type=pathlib.Path, help="directory of this layout to recompute")
    arguments = parser.parse_args()
    if arguments.output:
        generate(arguments.output, arguments.seed)
        files = [p for p in arguments.output.rglob("*") if p.is_file()]
        print(f"{len(files)} files, {sum(p.stat().st_size for p in files)} bytes")
    if arguments.compare and not compare(arguments.compare):
        sys.exit(1)


if __name__ == "__main__":
    main()
