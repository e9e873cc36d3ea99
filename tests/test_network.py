from __future__ import annotations

import logging
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor, nn

from rfcx_model import network
from rfcx_model.errors import InputError
from rfcx_model.hyperparameters import MixupSite, Network, Windows
from rfcx_model.mixup import Mix
from rfcx_model.network import RFCXNet, build, check, pretrained_digest

ENDS = {  # read off timm's own model definitions: what ends the stage of reduction 16, and the last stage
    "resnet18": ("layer3", "layer4"),
    "densenet121": ("features.denseblock3", "features.norm5"),
    "efficientnet_b0": ("blocks.4", "blocks.6"),
    "resnest50d": ("layer3", "layer4"),
    "mobilenetv2_100": ("blocks.4", "blocks.6"),
    "convnext_atto": ("stages.2", "stages.3"),
    "test_resnet": ("layer3", "layer4"),
}
CHANNELS = {"resnet18": 512, "densenet121": 1024, "efficientnet_b0": 320, "resnest50d": 2048}  # diary
NAME = "layer3.0.conv1.weight"
PARTNER = torch.tensor([2, 0, 1])


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def small(**changed: object) -> Network:
    return Network(**({"backbone": "test_resnet", "pretrained": "none"} | changed))  # type: ignore[arg-type]


@pytest.fixture(scope="module", params=ENDS)
def pair(request: pytest.FixtureRequest) -> tuple[RFCXNet, nn.Module]:
    """A network, and timm's unsplit classifier of the same weights."""
    name = request.param
    net = build(Network(backbone=name, pretrained="none"), 3, seed=1).eval()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):  # fresh statistics would let a skipped norm pass unseen
            assert module.running_mean is not None
            nn.init.uniform_(module.running_mean, -0.1, 0.1, generator=torch.Generator().manual_seed(2))
    whole = timm.create_model(name, in_chans=1, pretrained=False).eval()
    ours = {key.replace(".", "_"): value for key, value in net.backbone.state_dict().items()}
    theirs = whole.state_dict()
    whole.load_state_dict({key: ours.get(key.replace(".", "_"), value) for key, value in theirs.items()})
    return net, whole


def by_hand(name: str, whole: nn.Module, x: Tensor, mix: Mix) -> Tensor:
    """The last stage's output of the unsplit network, mixed at the site with a hook of the test's own."""
    ends = dict(zip(("stage3", "stage4"), ENDS[name], strict=True))
    caught: list[Tensor] = []

    def blend(_module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        return torch.stack([mix.lam * output[k] + (1 - mix.lam) * output[mix.partner[k]] for k in range(len(output))])

    def catch(_module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
        caught.append(output)

    handles = []
    if mix.site == "input":
        x = blend(whole, (), x)
    elif mix.site != "none":
        handles.append(whole.get_submodule(ends[mix.site]).register_forward_hook(blend))
    handles.append(whole.get_submodule(ends["stage4"]).register_forward_hook(catch))
    try:
        whole.forward_features(x)  # type: ignore[operator]
    finally:
        for handle in handles:
            handle.remove()
    return caught[0]


@pytest.mark.parametrize("site", ["none", "input", "stage3", "stage4"])
def test_composed_stages_mix_as_the_unsplit_network_mixed_by_hand(
    pair: tuple[RFCXNet, nn.Module], site: MixupSite, request: pytest.FixtureRequest
) -> None:
    net, whole = pair
    name = request.node.callspec.params["pair"]
    x = torch.randn(3, 1, 64, 32, generator=torch.Generator().manual_seed(3))
    mix = Mix(site, 0.3, PARTNER)
    with torch.no_grad():
        features = net.features(x, mix)
        expected = by_hand(name, whole, x, mix)
        plain = net.features(x)
    assert features.shape == (3, CHANNELS.get(name, net.channels), 2, 1)
    torch.testing.assert_close(features, expected, rtol=1e-4, atol=1e-5)
    assert torch.equal(features, plain) == (site == "none")


@pytest.mark.parametrize("site", ["input", "stage3", "stage4"])
def test_a_share_of_one_equals_no_mixup_to_the_bit(pair: tuple[RFCXNet, nn.Module], site: MixupSite) -> None:
    net = deepcopy(pair[0]).train()
    x = torch.randn(3, 1, 64, 32, generator=torch.Generator().manual_seed(3))
    gradients = []
    for mix in (None, Mix(site, 1.0, PARTNER)):
        net.zero_grad()
        torch.manual_seed(0)  # drop path, where a backbone has it
        logits = net(x, mix)
        (logits.clipwise**2).sum().backward()
        gradients.append([logits.clipwise, logits.framewise, *(p.grad for p in net.parameters() if p.grad is not None)])
    assert all(torch.equal(plain, mixed) for plain, mixed in zip(*gradients, strict=True))


def test_the_sites_give_different_features(pair: tuple[RFCXNet, nn.Module]) -> None:
    net, x = pair[0], torch.randn(3, 1, 64, 32, generator=torch.Generator().manual_seed(3))
    sites: tuple[MixupSite, ...] = ("none", "input", "stage3", "stage4")
    with torch.no_grad():
        features = [net.features(x, Mix(site, 0.3, PARTNER)) for site in sites]
    assert not any(torch.allclose(features[i], features[j]) for i in range(4) for j in range(i))


def test_a_copied_network_mixes_by_its_own_draw() -> None:
    net = build(small(), 3, seed=1).eval()
    copied, x = deepcopy(net), torch.randn(3, 1, 64, 32)
    with torch.no_grad():
        assert torch.equal(
            copied.features(x, Mix("stage3", 0.3, PARTNER)), net.features(x, Mix("stage3", 0.3, PARTNER))
        )
        assert not torch.equal(copied.features(x, Mix("stage3", 0.3, PARTNER)), net.features(x))


def test_a_network_that_fails_midway_leaves_no_mix_behind() -> None:
    net = build(small(), 3, seed=1).eval()
    with pytest.raises(IndexError):
        net.features(torch.randn(2, 1, 64, 32), Mix("stage3", 0.3, torch.tensor([7, 0])))
    x = torch.randn(3, 1, 64, 32)
    with torch.no_grad():
        assert torch.equal(net.backbone(x)[-1], build(small(), 3, seed=1).eval().backbone(x)[-1])


@settings(max_examples=25, deadline=None)
@given(cells=st.integers(1, 5), seed=st.integers(0, 2**16))
def test_the_head_equals_a_plain_loop(cells: int, seed: int) -> None:
    net = HEAD
    x = torch.randn(2, 1, 32 * cells, 32, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        logits = net(x)
        feature = net.features(x)
    assert logits.framewise.shape == (2, 3, cells)
    w_class, w_attention = net.class_head.weight[:, :, 0], net.attention_head.weight[:, :, 0]
    for b in range(2):
        hidden = [feature[b, :, t].clamp(min=0).mean(dim=1) for t in range(cells)]
        for c in range(3):
            xa = torch.stack([w_class[c] @ h for h in hidden])
            e = torch.stack([(w_attention[c] @ h).exp() for h in hidden])
            torch.testing.assert_close(logits.framewise[b, c], xa, rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(logits.clipwise[b, c], (xa * e / e.sum()).sum(), rtol=1e-4, atol=1e-5)


HEAD = build(Network(backbone="mobilenetv2_100", pretrained="none"), 3, seed=4).eval()  # its last stage goes below 0


def test_mean_pooling_is_the_mean_of_the_cells() -> None:
    net = build(small(pooling="mean"), 3, seed=1).eval()
    with torch.no_grad():
        logits = net(torch.randn(2, 1, 96, 32))
    torch.testing.assert_close(logits.clipwise, logits.framewise.mean(dim=2))


def test_dropout_acts_in_training_only_and_follows_its_generator() -> None:
    net, x = build(small(dropout=0.5), 3, seed=1), torch.randn(2, 1, 64, 32)

    def said(seed: int) -> Tensor:
        with torch.no_grad():
            return net(x, None, torch.Generator().manual_seed(seed)).clipwise  # type: ignore[no-any-return]

    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 0.0
    assert torch.equal(said(1), said(1))
    assert not torch.equal(said(1), said(2))
    net.eval()
    assert torch.equal(said(1), said(2))


def test_weights_are_a_function_of_the_seed_and_leave_global_draws_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first, again, other = (build(small(), 3, seed=s).state_dict() for s in (1, 1, 2))
    assert torch.equal(torch.rand(3), expected)
    assert all(torch.equal(first[k], again[k]) for k in first)
    assert not torch.equal(first["class_head.weight"], other["class_head.weight"])


def test_pretrained_weights_come_from_a_file(tmp_path: Path) -> None:
    whole = timm.create_model("test_resnet", pretrained=False)
    save_file(whole.state_dict(), tmp_path / "weights.safetensors")
    net = build(small(pretrained=str(tmp_path / "weights.safetensors")), 3, seed=1)
    assert torch.equal(net.backbone.state_dict()[NAME], whole.state_dict()[NAME])
    without = build(small(pretrained=str(tmp_path / "weights.safetensors")), 3, seed=1, load_pretrained=False)
    assert not torch.equal(without.backbone.state_dict()[NAME], whole.state_dict()[NAME])


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"backbone": "resnet_18"}, "timm has no model 'resnet_18'"),
        ({"backbone": "vit_tiny_patch16_224"}, r"`network\.backbone`: vit_tiny_patch16_224 has no stage4"),
        ({"backbone": "mixer_s32_224"}, r"`network\.backbone`: mixer_s32_224 has no stage3"),
        ({"backbone": "visformer_tiny"}, r"`network\.backbone`: the end of stage3 .* is no module of visformer_tiny"),
        ({"backbone": "tresnet_m"}, r"`network\.backbone`: timm cannot take tresnet_m apart"),
        ({"pretrained": "nowhere.safetensors"}, "but got 'nowhere.safetensors'"),
    ],
)
def test_what_timm_cannot_give_is_refused(changed: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        build(small(**changed), 3, seed=1)


def test_of_a_hub_that_does_not_answer_one_thing_is_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    made = timm.create_model

    def offline(name: str, **how: Any) -> Any:
        if not how.get("pretrained"):
            return made(name, **how)
        for again in range(5):
            logging.getLogger("huggingface_hub.utils._http").warning("Retrying in %d s", again)
        raise OSError("no connection")

    monkeypatch.setattr(timm, "create_model", offline)
    level = logging.getLogger("huggingface_hub").level
    with pytest.raises(InputError, match=r"the weights of resnet18 could not be loaded from 'hub' \(OSError: no conn"):
        build(Network(), 2, seed=0)
    assert caplog.records == []
    assert logging.getLogger("huggingface_hub").level == level


def test_a_damaged_weight_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "weights.safetensors").write_bytes(b"not weights")
    with pytest.raises(InputError, match="could not be loaded"):
        build(small(pretrained=str(tmp_path / "weights.safetensors")), 3, seed=1)


def test_a_cell_is_thirty_two_frames() -> None:
    assert network.CELL_FRAMES == 32
    with torch.no_grad():
        assert HEAD(torch.randn(1, 1, 512, 128)).framewise.shape == (1, 3, 16)


def test_a_backbone_of_one_input_size_is_refused_with_the_size_of_the_windows() -> None:
    fixed = Network(backbone="swin_tiny_patch4_window7_224", pretrained="none")
    with pytest.raises(InputError, match=r"swin_tiny.* cannot take windows of 64 frames × 16 mels .*resnet18"):
        check(fixed, Windows(window_frames=64, overlap_frames=8), 16, 3)
    check(Network(backbone="test_resnet", pretrained="none"), Windows(window_frames=64, overlap_frames=8), 16, 3)


def test_the_digest_is_of_the_weights_and_not_of_the_file_or_where_it_stands(tmp_path: Path) -> None:
    torch.manual_seed(0)
    whole = timm.create_model("test_resnet", pretrained=False)
    (tmp_path / "folder").mkdir()
    save_file(whole.state_dict(), tmp_path / "folder" / "some.safetensors")
    torch.save(whole.state_dict(), tmp_path / "weights.pth")
    digests = {pretrained_digest(small(pretrained=str(tmp_path / one))) for one in ("folder", "weights.pth")}
    assert len(digests) == 1
    assert pretrained_digest(small(pretrained="none")) == ""
    torch.manual_seed(1)
    save_file(timm.create_model("test_resnet", pretrained=False).state_dict(), tmp_path / "other.safetensors")
    assert pretrained_digest(small(pretrained=str(tmp_path / "other.safetensors"))) not in digests


def test_a_folder_without_one_weight_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="must hold a weight file"):
        build(small(pretrained=str(tmp_path)), 3, seed=1)
    for name in ("a.safetensors", "b.safetensors"):
        (tmp_path / name).touch()
    with pytest.raises(InputError, match=r"must hold one weight file, but has a\.safetensors, b\.safetensors"):
        build(small(pretrained=str(tmp_path)), 3, seed=1)
