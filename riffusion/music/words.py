"""English words for tempo and mood that captions use and the song planner understands."""

from __future__ import annotations

SLOW_WORDS = ("slow", "down-tempo", "unhurried")
MIDDLE_WORDS = ("mid-tempo", "medium tempo", "walking pace")
FAST_WORDS = ("fast", "up-tempo", "quick", "high-energy")
SAD_WORDS = ("sad", "melancholic", "dark", "wistful", "moody")
HAPPY_WORDS = ("happy", "cheerful", "upbeat", "sunny", "feel-good")
CALM_WORDS = ("calm", "relaxing", "peaceful", "quiet", "mellow")
LIVELY_WORDS = ("energetic", "exciting", "lively", "driving", "powerful")
