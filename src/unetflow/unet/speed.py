"""How fast this machine trains."""

import statistics
import time

import keras
import numpy as np

from unetflow.imaging.planning import Architecture, Speed, count_step_work
from unetflow.unet.losses import CrossEntropyDice
from unetflow.unet.model import build_unet
