"""How each kind of network takes a step of fine-tuning, and becomes a named model."""

from __future__ import annotations

import copy
import functools
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.func import functional_call

from engine.errors import ModelBroken
from engine.models import catalogue
from engine.models.audiosep import checkpoint, network, runtimes
from engine.models.audiosep.kind import fast_form, text_source, tokenizer_of
from engine.models.compact import HearingCompact
from engine.models.compact.heads import evidence, save_heads, summarised
from engine.models.compact.learned import CAPTIONS, captions_text
from engine.models.compact.weights import new_network, save_weights
from engine.training.evaluate import separate
from engine.training.losses import (
    MAGNITUDE_WEIGHT,
    PRESENCE_WEIGHT,
    SNR_WEIGHT,
    Batch,
    mask_losses,
    presence_loss,
    spectra_of,
)
from engine.training.mixing import MixingOptions
from engine.training.train import Average
from engine.training.transform import precision

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from engine.folders import Folders
    from engine.models.compact import Compact
    from engine.models.compact.network import CompactNet
    from engine.models.records import Entry
    from engine.training.mixing import Example

__all__ = ["AudioSepLearner", "CompactLearner"]

AVERAGE = 0.98
"""Decay of the moving average of the weights in a step."""
_VAIN = MixingOptions(unknown=0.0).vain


class CompactLearner:
    """The network of ``compact``, and its heads if it has them; a `Learner`.

    The presence head learns along with the network. The head of the tags stays as it is: a user's
    clips have no tags.
    """

    usual_rate = 3e-4
    seconds = 3.0

    def __init__(self, model: Compact) -> None:
        self._embed = functools.lru_cache(1 << 14)(model.embed)
        self._learned = model.learned
        parts: dict[str, torch.nn.Module] = {"net": model.net}
        self._heads = model.heads if isinstance(model, HearingCompact) else None
        if self._heads is not None:
            parts["heads"] = self._heads
        # statistics stay; the gradients flow all the same
        self._parts = torch.nn.ModuleDict(parts).eval().requires_grad_(True)
        self._optimizer = torch.optim.AdamW(self._parts.parameters(), lr=self.usual_rate)
        self._average = Average(self._parts, AVERAGE)
        self._updates = 0

    def learn(self, examples: Sequence[Example], captions: Sequence[str], rate: float) -> float:
        """Take one step and return its loss."""
        batch = Batch(
            torch.from_numpy(np.stack([e.mixture for e in examples])),
            torch.from_numpy(np.concatenate([e.targets for e in examples])),
            torch.from_numpy(np.stack([self._embed(caption) for caption in captions])),
            torch.ones(len(examples)),
        )
        spectra = spectra_of(batch)
        net: CompactNet = self._parts["net"]  # type: ignore[assignment]
        with precision():
            mask, heard = net.analyse(spectra.magnitude, batch.vectors, spectra.rms)
        magnitude, decibels = mask_losses(mask, spectra)
        loss = MAGNITUDE_WEIGHT * magnitude + SNR_WEIGHT * decibels
        if self._heads is not None:
            passed = evidence(mask.detach().float(), spectra.magnitude, net.config.net.time_block)
            present = batch.targets.any(1).float()
            loss = loss + PRESENCE_WEIGHT * presence_loss(
                self._heads, summarised(heard), passed, batch.vectors, present, _VAIN
            )
        self._optimizer.param_groups[0]["lr"] = rate
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self._parts.parameters(), 5.0)
        self._optimizer.step()
        self._average.update(self._parts, self._updates)
        self._updates += 1
        return float(loss.detach())

    def separate(
        self, mixture: NDArray[np.float32], captions: Sequence[str]
    ) -> NDArray[np.float32]:
        """Separate ``(samples,)`` with the averaged weights; returns ``(captions, samples)``."""
        net = new_network().eval()
        net.load_state_dict(_part(self._average.state, "net"))
        return separate(net, mixture, np.stack([self._embed(c) for c in captions]))

    def state(self) -> dict[str, Any]:
        """Return all that it takes to go on."""
        return {
            "parts": self._parts.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "average": self._average.state,
            "updates": self._updates,
        }

    def resume(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` returned."""
        self._parts.load_state_dict(state["parts"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._average.state = dict(state["average"])
        self._updates = state["updates"]

    def averaged(self) -> dict[str, Tensor]:
        """Return the averaged weights, by the part's name, a dot, and their name in it."""
        return dict(self._average.state)

    def publish(
        self, weights: Mapping[str, Tensor], folders: Folders, name: str, origin: str
    ) -> Entry:
        """Record averaged weights as a named model."""
        file = folders.models / name / "weights.safetensors"
        save_weights(_part(weights, "net"), file)
        also = {}
        if self._heads is not None:
            also["heads"] = file.with_name("heads.safetensors")
            heads = copy.deepcopy(self._heads)
            heads.load_state_dict(_part(weights, "heads"))
            save_heads(heads, also["heads"])
        if self._learned is not None:
            also["captions"] = file.with_name(CAPTIONS)
            text = captions_text(self._learned.captions)
            also["captions"].write_text(text, encoding="utf-8", newline="\n")
        return catalogue.add(
            folders, name, "compact", file, also=also, licence="yours", origin=origin
        )


class AudioSepLearner:
    """The separation network of an AudioSep checkpoint; its text encoder stays as it is.

    What is trained are the published tensors, by their published names; each step folds them
    (`network.fold`) into the network that also separates, so that what is learned is what is used.
    The loss is that of the published training: L1 on the waveform, here relative to the mixture's.
    """

    usual_rate = 1e-4
    seconds = 2.0

    def __init__(self, entry: Entry) -> None:
        source = entry.main
        if not source.is_file():
            raise ModelBroken(
                f"Fine-tuning {entry.name} needs its checkpoint, and {source} is gone: put it back "
                "or add the model anew."
            )
        self._entry = entry
        form = fast_form(entry)
        # looked up once a caption; the model itself is not needed
        self._embeddings, self._form = form.embeddings, form
        self._encoder: Any = None
        found = runtimes.device()
        self._device = found if found.type == "cuda" else torch.device("cpu")
        tensors = checkpoint.read(source).separator
        self._tensors = {key: value.clone().to(self._device) for key, value in tensors.items()}
        self._trained = [key for key in self._tensors if _is_trained(key)]
        for key in self._trained:
            self._tensors[key] = self._tensors[key].float().requires_grad_(True)
        self._optimizer = torch.optim.AdamW(
            [self._tensors[key] for key in self._trained], lr=self.usual_rate, weight_decay=0.0
        )
        self._average = {key: self._tensors[key].detach().clone() for key in self._trained}
        self._updates = 0
        with torch.device("meta"):
            self._network = network.Network()

    def learn(self, examples: Sequence[Example], captions: Sequence[str], rate: float) -> float:
        """Take one step and return its loss."""
        folded = network.fold(self._tensors)
        leaves = {key: value.detach().requires_grad_(True) for key, value in folded.items()}
        queries = len(captions) // len(examples)
        total = 0.0
        for number, caption in enumerate(captions):
            example = examples[number // queries]
            mixture = torch.from_numpy(example.mixture).to(self._device)
            target = torch.from_numpy(example.targets[number % queries]).to(self._device)
            estimate = self._separate(leaves, mixture, caption)
            scale = mixture.abs().mean() * len(captions) + 1e-8
            loss = (estimate - target).abs().mean() / scale
            loss.backward()  # type: ignore[no-untyped-call]
            total += float(loss.detach())
        used = [key for key, leaf in leaves.items() if leaf.grad is not None]
        self._optimizer.param_groups[0]["lr"] = rate
        self._optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward([folded[k] for k in used], [leaves[k].grad for k in used])
        parameters = [self._tensors[key] for key in self._trained]
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        self._optimizer.step()
        decay = min(AVERAGE, (1 + self._updates) / (10 + self._updates))
        for key in self._trained:
            self._average[key].lerp_(self._tensors[key].detach(), 1 - decay)
        self._updates += 1
        return total

    def separate(
        self, mixture: NDArray[np.float32], captions: Sequence[str]
    ) -> NDArray[np.float32]:
        """Separate ``(samples,)`` with the averaged weights; returns ``(captions, samples)``."""
        with torch.no_grad():
            folded = network.fold({**self._tensors, **self._average})
            heard = torch.from_numpy(mixture).to(self._device)
            parts = [self._separate(folded, heard, caption).cpu() for caption in captions]
        return torch.stack(parts).numpy()

    def state(self) -> dict[str, Any]:
        """Return all that it takes to go on."""
        return {
            "trained": {key: self._tensors[key].detach() for key in self._trained},
            "optimizer": self._optimizer.state_dict(),
            "average": self._average,
            "updates": self._updates,
        }

    def resume(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` returned."""
        with torch.no_grad():
            for key in self._trained:
                self._tensors[key].copy_(state["trained"][key])
                self._average[key].copy_(state["average"][key])
        self._optimizer.load_state_dict(state["optimizer"])
        self._updates = state["updates"]

    def averaged(self) -> dict[str, Tensor]:
        """Return the averaged weights, by their published names."""
        return dict(self._average)

    def publish(
        self, weights: Mapping[str, Tensor], folders: Folders, name: str, origin: str
    ) -> Entry:
        """Write a checkpoint in the published layout, and add it as a named model.

        It holds the separation network and the text branch; the rest of CLAP, which no query
        needs, is left out.
        """
        words = checkpoint.read(text_source(self._entry)).text
        whole = {**self._tensors, **weights}
        state = {f"ss_model.{key}": value.detach().cpu() for key, value in whole.items()}
        state |= {f"query_encoder.model.{key}": value for key, value in words.items()}
        folder = folders.models / name
        file = folder / f"{name}.ckpt"
        temporary = folder / f"{name}.part"
        torch.save({"state_dict": state, "epoch": 0, "global_step": self._updates}, temporary)
        temporary.replace(file)
        return catalogue.add(
            folders,
            name,
            self._entry.kind,
            file,
            also={"tokenizer": tokenizer_of(self._entry)},
            licence=self._entry.licence,
            origin=origin,
        )

    def _embed(self, caption: str) -> Tensor:
        vector = self._embeddings.get(caption)
        if vector is None:
            self._encoder = self._encoder or self._form.encoder()
            vector = self._encoder.embed(caption)
            self._embeddings.put(caption, vector)
        return torch.from_numpy(vector).to(self._device)

    def _separate(self, folded: Mapping[str, Tensor], mixture: Tensor, caption: str) -> Tensor:
        """Separate ``(samples,)`` as `engine.models.audiosep.AudioSep` does, differentiably."""
        window = torch.hann_window(network.N_FFT, device=self._device)
        size = network.N_FFT
        whole = torch.stft(mixture, size, _HOP, window=window, return_complex=True).T
        spectrum = whole[:, : network.BINS].abs().clamp_min(1e-5)
        spectrum = spectrum * folded["input_scale"] + folded["input_shift"]
        frames = len(spectrum)
        padded = torch.nn.functional.pad(spectrum, (0, 0, 0, -frames % network.BLOCK))
        shifts = folded["film.weight"] @ self._embed(caption) + folded["film.bias"]
        keep = torch.tensor([0, len(padded)])
        arguments = (padded[None, None], shifts + folded["norm_shift"], keep)
        logits = functional_call(self._network, dict(folded), arguments)[0, :, :frames]
        real, imaginary = torch.tanh(logits[1]), torch.tanh(logits[2])
        length = torch.sqrt(real.square() + imaginary.square()).clamp_min(1e-10)
        mask = torch.sigmoid(logits[0]) / length * torch.complex(real, imaginary)
        target = torch.nn.functional.pad(whole[:, : network.BINS] * mask, (0, 1))
        return torch.istft(target.T, size, _HOP, window=window, length=mixture.shape[0])


def _part(state: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    prefix = f"{name}."
    return {key.removeprefix(prefix): v for key, v in state.items() if key.startswith(prefix)}


_HOP = 320
_CONSTANT = ("running_mean", "running_var", "num_batches_tracked")


def _is_trained(key: str) -> bool:
    return not key.endswith(_CONSTANT) and not key.startswith(("base.stft.", "base.istft."))
