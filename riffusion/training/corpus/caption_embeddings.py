"""Embeddings of all captions of a corpus, computed once and kept beside it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import torch

from riffusion.engines.compact.prompt_encoder import prompt_encoder
from riffusion.storage import writing_whole
from riffusion.training.corpus.shards import read_songs


def embed_captions(folder: Path) -> tuple[dict[str, int], torch.Tensor]:
    """Return the row of every caption, and the embeddings, float16 (captions, 384).

    The names of the styles count as captions. Raises StorageError on a full disk.
    """
    songs = [song for _, song in read_songs(folder)]
    captions = sorted({caption for song in songs for caption in (song.style, *song.captions)})
    key = hashlib.sha256(json.dumps(captions).encode()).hexdigest()[:16]
    cache = folder / f"captions-{key}.npy"
    if not cache.exists():
        embedded = prompt_encoder()(captions).to(torch.float16).numpy()
        with writing_whole(cache) as file:
            np.save(file, embedded)
    return {caption: row for row, caption in enumerate(captions)}, torch.from_numpy(np.load(cache))
