"""Transcription: strings of spoken digits by a new speaker, clean and in noise, and a voice that says yes and no."""

from __future__ import annotations

import json
import re
import tempfile
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

import acclimate as ac
from acclimate.domains.audio import decode_audio
from acclimate.domains.sounds import cut_noise, mix, read_noise
from acclimate.methods.test_time.suta import SUTA
from acclimate.seeds import generator
from acclimate.tasks.word_errors import error_rates, normalized
from benchmarks.common import DATA, RESULTS, SEEDS, say, write
from benchmarks.speech_digits import CLIPS, CONDITIONS, NOISE, SPEAKERS

YES_NO = DATA / "speech" / "yesno_flac.zip"
FIGURES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
RATE = 8000
LEARNED, TESTED, OTHERS, SPELLED = 10, 10, 10, 20
"""Strings: labelled of the new speaker, measured in each condition, of each other speaker for Whisper and for CTC."""
SECONDS = 5.0
"""Read of a clip where Whisper learns; as it is it reads 30."""
WHISPER = {"name": "whisper_tiny_en", "seconds": SECONDS}
CTC = {"name": "logmel_cnn", "rate": RATE, "width": 8, "bands": 32, "seconds": SECONDS}
TRAINING: dict[str, dict[str, Any]] = {
    "ctc": {"epochs": 40, "batch_size": 8},
    "others": {"epochs": 3, "batch_size": 4},
    "speaker": {"epochs": 6, "batch_size": 2},
}


def main(seeds: tuple[int, ...] = SEEDS) -> None:
    """Protocol: strings of three to five real digits with pauses of 0.1 to 0.3 s, drawn by the seed. Ten strings of the
    new speaker may be learned, ten others of other takes are measured in each condition; noise is a stretch of a real
    clip, mixed into what is learned of the speaker and into what is measured. Whisper tiny.en as it is reads 30 s. The
    other four speakers teach it ten clean strings each (LoRA, 5 s), and a convolutional network from scratch twenty
    each (CTC). From there the ten labelled strings of the speaker, in his condition, are learned (LoRA). SUTA takes 5
    steps on each measured string by itself, at the paper's rate for Whisper and at 1e-3, found on generated vowels, for
    the network from scratch. Yes and no: 60 clips of eight Hebrew words by one man, transcribed in English; ten are
    learned, twenty measured. Transcripts are figures ("6 2 0 7"). Nothing was tuned on these strings. What was measured
    is kept."""
    path = RESULTS / "transcription.json"
    kept = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {"digits": [], "yes_no": []}
    digits, yes_no = kept["digits"], kept["yes_no"]

    def keep() -> None:
        write("transcription", {"protocol": main.__doc__, "training": TRAINING, "digits": digits, "yes_no": yes_no})

    for seed in seeds:
        for speaker in SPEAKERS:
            if (speaker, seed) not in {(cell["speaker"], cell["seed"]) for cell in digits}:
                digits.append(cell_of_digits(speaker, seed))
                say(seed, speaker, digits[-1]["seconds"], digits[-1]["arms"])
                keep()
        if seed not in {cell["seed"] for cell in yes_no}:
            yes_no.append(cell_of_yes_no(seed))
            say(seed, "yes and no", yes_no[-1])
            keep()


def cell_of_digits(speaker: str, seed: int) -> dict[str, Any]:
    """One new speaker: word error rates of each arm in each condition."""
    begun, archive = time.monotonic(), zipfile.ZipFile(CLIPS)
    arms: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        others = [name for name in SPEAKERS if name != speaker]
        teach = written(folder / "others", [strings(archive, s, OTHERS, seed, range(50)) for s in others])
        spell = written(folder / "spell", [strings(archive, s, SPELLED, seed, range(50)) for s in others])
        known, new = (strings(archive, speaker, n, seed, t) for n, t in ((LEARNED, range(25)), (TESTED, range(25, 50))))
        tests = {name: written(folder / f"test{k}", [new], snr) for k, (name, snr) in enumerate(CONDITIONS.items())}
        common: dict[str, Any] = {"task": "transcribe", "label": "said", "seed": seed, "device": "cpu",
                                  "plain_baseline": False, "validation": 0.0}  # fmt: skip
        ac.adapt(teach, None, method="source_only", backbone="whisper_tiny_en", tune="frozen",
                 out=folder / "as_it_is", **common)  # fmt: skip
        ac.adapt(spell, None, method="source_only", backbone=CTC, training=TRAINING["ctc"],
                 out=folder / "ctc", **common)  # fmt: skip
        ac.adapt(teach, None, method="source_only", backbone=WHISPER, tune="lora", training=TRAINING["others"],
                 out=folder / "taught", **common)  # fmt: skip
        for k, (condition, snr) in enumerate(CONDITIONS.items()):
            learned = written(folder / f"learned{k}", [known], snr)
            ac.adapt(None, learned, method="target_only", target_label="said", backbone=str(folder / "taught"),
                     tune="lora", training=TRAINING["speaker"], out=folder / f"tuned{k}", **common)  # fmt: skip
            models = {"as_it_is": "as_it_is", "ctc": "ctc", "others": "taught", "speaker": f"tuned{k}"}
            arms[condition] = {name: errors(folder / model, tests[condition]) for name, model in models.items()}
            adapted = {"ctc": SUTA(steps=5, rate=1e-3), "others": SUTA(steps=5)}
            for name, method in adapted.items():
                arms[condition][f"{name}+suta"] = errors(folder / models[name], tests[condition], method)
    return {"speaker": speaker, "seed": seed, "seconds": round(time.monotonic() - begun), "arms": arms}


def cell_of_yes_no(seed: int) -> dict[str, Any]:
    """The voice that says yes and no in Hebrew: Whisper as it is, and after ten clips."""
    begun, archive = time.monotonic(), zipfile.ZipFile(YES_NO)
    names = sorted(name for name in archive.namelist() if name.endswith(".flac"))
    order = generator(seed, "yes and no").permutation(len(names))
    clips = [(decode_audio(archive.read(names[k]), names[k])[0], yes_or_no(names[k])) for k in order]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        learned, test = written(folder / "learned", [clips[:10]]), written(folder / "test", [clips[10:30]])
        common: dict[str, Any] = {"task": "transcribe", "seed": seed, "device": "cpu", "plain_baseline": False,
                                  "validation": 0.0}  # fmt: skip
        ac.adapt(learned, None, method="source_only", label="said", backbone="whisper_tiny_en", tune="frozen",
                 out=folder / "as_it_is", **common)  # fmt: skip
        ac.adapt(None, learned, method="target_only", target_label="said", tune="lora", training=TRAINING["speaker"],
                 backbone={"name": "whisper_tiny_en", "seconds": 8.0}, out=folder / "tuned", **common)  # fmt: skip
        found = {"as_it_is": errors(folder / "as_it_is", test), "speaker": errors(folder / "tuned", test)}
    return {"seed": seed, "seconds": round(time.monotonic() - begun), "arms": found}


def yes_or_no(name: str) -> str:
    """The transcript that a file's name holds: 1 is yes."""
    return " ".join("yes" if figure == "1" else "no" for figure in re.findall(r"[01]", Path(name).stem))


Clip = tuple[np.ndarray, str]


def strings(archive: zipfile.ZipFile, speaker: str, count: int, seed: int, takes: range) -> list[Clip]:
    """Strings of three to five digits of a speaker, with pauses, and what is said."""
    rng, found = generator(seed, "digit strings", speaker, takes.start, count), []
    for _ in range(count):
        digits, parts = rng.integers(0, 10, rng.integers(3, 6)), []
        for digit in digits:
            name = f"{digit}_{speaker}_{rng.choice(takes)}.flac"
            parts += [decode_audio(archive.read(name), name)[0], np.zeros(int(RATE * rng.uniform(0.1, 0.3)))]
        found.append((np.concatenate(parts).astype(np.float32), " ".join(map(str, digits))))
    return found


def written(folder: Path, clips: list[list[Clip]], snr: float | None = None) -> str:
    """A folder of WAV files with their transcripts, with a stretch of real noise at a ratio in dB."""
    from scipy.io import wavfile

    folder.mkdir()
    lines, noises = ["file_name,said"], read_noise(str(NOISE), RATE) if snr is not None else []
    for k, (samples, said) in enumerate(clip for several in clips for clip in several):
        heard = samples
        if snr is not None:
            heard = mix(samples, cut_noise(noises, len(samples), generator(0, "noise", said, len(samples))), snr)
        wavfile.write(folder / f"{k}.wav", RATE, heard)
        lines.append(f"{k}.wav,{said}")
    (folder / "metadata.csv").write_text("\n".join(lines), encoding="utf-8")
    return str(folder)


def errors(run: Path, test: str, method: SUTA | None = None) -> dict[str, float]:
    """WER of what a model says; ``spaced`` the same where figures that are written together, or as words, count as said
    one by one: what is left of the error when spelling plays no part.
    """
    model = ac.load(run, device="cpu")
    model._model.at_test = method
    said = model.predict(test)
    lines = (Path(test) / "metadata.csv").read_text(encoding="utf-8").splitlines()[1:]
    right = dict(line.split(",", 1) for line in lines)
    pairs = [(text, right[name]) for text, name in zip(said["prediction"], said["path"], strict=True)]
    found = {"wer": pairs, "spaced": [(_spaced(text), truth) for text, truth in pairs]}
    rates = {name: error_rates(*map(list, zip(*both, strict=True)))(None)["wer"] for name, both in found.items()}
    return {name: round(100 * rate, 2) for name, rate in rates.items()}


def _spaced(text: str) -> str:
    words = (str(FIGURES.index(word)) if word in FIGURES else word for word in normalized(text).split())
    return re.sub(r"(\d)", r" \1 ", " ".join(words))
