# The public names and the modules that they come from: read by type checkers, and by lazy_loader
# when riffusion is imported.

from .audio.track import TrackFile as TrackFile
from .audio.waveform import Waveform as Waveform
from .audio.waveform import read_audio as read_audio
from .audio.waveform import write_audio as write_audio
from .engines.clip import ClipRequest as ClipRequest
from .engines.clip import Controls as Controls
from .engines.clip import LeadSheet as LeadSheet
from .engines.clip import LoopNoise as LoopNoise
from .engines.clip import Mix as Mix
from .engines.clip import NoisePlace as NoisePlace
from .engines.clip import Prompt as Prompt
from .engines.clip import WeightedPrompt as WeightedPrompt
from .engines.loading import load_engine as load_engine
from .engines.protocol import Engine as Engine
from .engines.rendering import clip_image as clip_image
from .engines.rendering import clip_sound as clip_sound
from .engines.stable.options import Lora as Lora
from .engines.stable.options import StableOptions as StableOptions
from .errors import RiffusionError as RiffusionError
from .jam.anchor_loops import load_anchor_ref as load_anchor_ref
from .jam.anchor_loops import load_mask_ref as load_mask_ref
from .jam.anchors import library as library
from .jam.anchors import read_anchor as read_anchor
from .jam.masks import read_mask as read_mask
from .jam.session import JamSession as JamSession
from .jam.session import JamSettings as JamSettings
from .jam.session import render as render
from .jam.session import replay as replay
from .jam.session import save_session as save_session
from .jam.session_file import load_session as load_session
from .jam.speed import measure_speed as measure_speed
from .song.model import Section as Section
from .song.model import Song as Song
from .song.model import Transition as Transition
from .song.plan import load_plan as load_plan
from .song.plan import save_plan as save_plan
from .song.planner import plan_song as plan_song
from .song.session import SongSession as SongSession
from .spectral.griffin_lim import griffin_lim as griffin_lim
from .spectral.image import ImageInfo as ImageInfo
from .spectral.image import audio_to_image as audio_to_image
from .spectral.image import from_image as from_image
from .spectral.image import image_to_audio as image_to_audio
from .spectral.image import read_image as read_image
from .spectral.image import to_image as to_image
from .spectral.image import write_image as write_image
from .spectral.long_image import open_long_image as open_long_image
from .spectral.long_image import write_sound_image as write_sound_image
from .spectral.spectrogram import Spectrogram as Spectrogram
from .spectral.spectrogram import SpectrogramParams as SpectrogramParams
from .spectral.spectrogram import mel_spectrogram as mel_spectrogram

__version__: str
