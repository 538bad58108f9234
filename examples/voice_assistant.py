"""A voice assistant: from a sound file to its transcript to an intent, for a new speaker in noise.

    python examples/voice_assistant.py                 # learns from ten utterances, and says what that was worth
    python examples/voice_assistant.py command.wav     # ... and what this file asks for

People say codes of three figures: the first says what is wanted (1 to 4), the others which one. Whisper has been taught
by other speakers; ten utterances of the new one, in noise, with what is said and meant, adapt it. A second model, which
reads texts, knows the intent of a code and has never heard a sound. A third goes from the sound to the intent directly.

With the folder of spoken digits ($ACCLIMATE_DATA, see the benchmarks) the voices are real and in real noise; without,
figures are touch tones from detuned telephones in white noise, and a small network from scratch takes Whisper's place.
"""

from __future__ import annotations

import csv
import io
import os
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

import acclimate as ac
from acclimate.domains.sounds import coloured, cut_noise, mix, read_noise
from acclimate.seeds import generator

DATA = Path(os.environ.get("ACCLIMATE_DATA", Path(__file__).resolve().parents[2] / "shared" / "data")) / "speech"
RATE = 8000
NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
INTENTS = {"1": "lights", "2": "music", "3": "heating", "4": "door"}
OTHERS, NEW = ("george", "jackson", "nicolas", "yweweler"), "lucas"
TONES = {  # of a telephone: the rows' and the columns' frequencies in Hz
    str(figure): (row, column)
    for row, figures in {697: "123", 770: "456", 852: "789", 941: "*0#"}.items()
    for column, figure in zip((1209, 1336, 1477), figures, strict=True)
}
SNR = 5.0
"""Of the new speaker's utterances, in dB; the others' are clean."""


class Assistant:
    """A transcriber and a reader of transcripts."""

    def __init__(self, transcriber: Path, reader: Path):
        self.transcriber, self.reader = ac.load(transcriber), ac.load(reader)

    def listen(self, sounds: str | Path) -> list[dict[str, str]]:
        """What is said in a sound file, or in each of a folder, and what is wanted."""
        heard = self.transcriber.predict(str(sounds))
        said = heard["prediction"]
        wanted = self.reader.predict([in_words(text) for text in said])["prediction"]
        return [
            {"path": path, "said": text, "intent": intent}
            for path, text, intent in zip(heard["path"], said, wanted, strict=True)
        ]


def main(folder: Path, seed: int = 0, real: bool | None = None, each: int = 12) -> tuple[Assistant, dict[str, float]]:
    """Adapt in ``folder``: the assistant, and the share of right intents before, after, and without a transcript."""
    real = DATA.is_dir() if real is None else real
    speak = real_voices() if real else touch_tones()
    others = [code for k, who in enumerate(OTHERS) for code in spoken(speak, who, each, seed + k)]
    source = written(folder / "others", others, None, real)
    learned = written(folder / "learned", spoken(speak, NEW, 10, seed + 10), SNR, real)
    test = written(folder / "test", spoken(speak, NEW, 24, seed + 20), SNR, real)

    reader = folder / "reader"
    typed = write_table(
        folder / "typed.csv", ["said", "intent"], [(in_words(said), intent) for said, intent in map(codes, range(200))]
    )
    ac.adapt(typed, None, input="said", label="intent", task="classify", method="source_only", backbone="ngrams",
             plain_baseline=False, out=reader)  # fmt: skip

    common: dict[str, Any] = {"method": "finetune", "seed": seed, "validation": 0.0, "plain_baseline": False}
    whisper = {"name": "whisper_tiny_en", "seconds": 4.0}
    network = {"name": "logmel_cnn", "rate": RATE, "width": 8, "bands": 32}
    tuned: dict[str, Any] = {"backbone": whisper, "tune": "lora", "training": {"epochs": 4, "batch_size": 2}}
    fresh: dict[str, Any] = {"backbone": network, "tune": "full", "training": {"epochs": 40, "batch_size": 8}}
    ac.adapt(source, learned, task="transcribe", label="said", target_label="said", out=folder / "words",
             **common, **(tuned if real else fresh))  # fmt: skip
    frozen: dict[str, Any] = {"backbone": "whisper_tiny_en", "tune": "frozen"}
    direct = ac.adapt(source, learned, task="command", label="intent", target_label="intent", out=folder / "intents",
                      **common, **(frozen if real else fresh))  # fmt: skip

    before = Assistant(folder / "words" / "arms" / "source_only" / "model", reader)
    after = Assistant(folder / "words" / "arms" / "finetune" / "model", reader)
    right = {row["file_name"]: row["intent"] for row in csv.DictReader((Path(test) / "metadata.csv").open())}

    def share(found: dict[str, str]) -> float:
        return float(np.mean([found[name] == intent for name, intent in right.items()]))

    answers = direct.arm("finetune").predict(test)
    return after, {
        "before": share({row["path"]: row["intent"] for row in before.listen(test)}),
        "after": share({row["path"]: row["intent"] for row in after.listen(test)}),
        "without transcript": share(dict(zip(answers["path"], answers["prediction"], strict=True))),
    }


def in_words(said: str) -> str:
    """A transcript as people type it, figures as words."""
    return " ".join(NAMES[int(c)] if c in "0123456789" else c for c in said) or "?"


def codes(number: int) -> tuple[str, str]:
    """A code and its intent, a function of the number."""
    rng = generator(number, "code")
    first = str(rng.choice(list(INTENTS)))
    return " ".join([first, *rng.choice(list("567890"), 2)]), INTENTS[first]


def spoken(speak: Any, who: str, count: int, seed: int) -> list[tuple[np.ndarray, str, str]]:
    """So many codes of a speaker: samples, what is said, what is wanted."""
    rng, found = generator(seed, "codes", who), []
    for _ in range(count):
        said, intent = codes(int(rng.integers(1_000_000)))
        parts = [part for figure in said.split() for part in (speak(figure, who, rng), np.zeros(RATE // 8))]
        found.append((np.concatenate(parts).astype(np.float32), said, intent))
    return found


def real_voices() -> Any:
    """One of fifty takes of a digit by one of five people."""
    archive = zipfile.ZipFile(DATA / "fsdd_5speakers_flac.zip")

    def speak(figure: str, who: str, rng: np.random.Generator) -> np.ndarray:
        clip = archive.read(f"{figure}_{who}_{rng.integers(50)}.flac")
        return soundfile.read(io.BytesIO(clip), dtype="float32")[0]

    return speak


def touch_tones() -> Any:
    """The two tones of a key, from a telephone that is out of tune in its own way."""
    detuned = dict(zip([*OTHERS, NEW], (0.97, 0.99, 1.01, 1.03, 1.05), strict=True))

    def speak(figure: str, who: str, rng: np.random.Generator) -> np.ndarray:
        time = np.arange(int(RATE * rng.uniform(0.15, 0.25))) / RATE
        return sum(0.2 * np.sin(2 * np.pi * detuned[who] * hertz * time) for hertz in TONES[figure])

    return speak


def written(folder: Path, found: list[tuple[np.ndarray, str, str]], snr: float | None, real: bool) -> str:
    """A folder of WAV files, in noise, with what is said and wanted."""
    folder.mkdir(parents=True)
    noises, rows = read_noise(str(DATA / "noise_clips_16k_flac.zip"), RATE) if real and snr is not None else [], []
    for k, (samples, said, intent) in enumerate(found):
        rng, n = generator(k, "noise", folder.name), len(samples)
        noise = cut_noise(noises, n, rng) if noises else coloured(n, rng)
        heard = samples if snr is None else mix(samples, noise, snr)
        soundfile.write(folder / f"{k}.wav", heard, RATE)
        rows.append((f"{k}.wav", said, intent))
    write_table(folder / "metadata.csv", ["file_name", "said", "intent"], rows)
    return str(folder)


def write_table(path: Path, head: list[str], rows: list[Any]) -> str:
    """A CSV file."""
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([head, *rows])
    return str(path)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        assistant, shares = main(Path(place))
        print({name: f"{share:.0%}" for name, share in shares.items()})
        for file in sys.argv[1:]:
            print(*assistant.listen(file))
