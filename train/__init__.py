"""Training: optimizers, schedules, data, the loop, checkpoints, pictures, the command line."""

from .callbacks import BestWeights, Callback, EarlyStopping, ProgressBar
from .checkpoint import load_model, save_model
from .history import History
from .models import CNN, Dense, Jin, LeNet
from .optimizers import SGD, Adagrad, Adam, AdamW, Optimizer, RMSprop, clip_grad_norm, clip_grad_value
from .schedules import (
    ChainedScheduler,
    CosineAnnealingLR,
    ExponentialLR,
    LinearLR,
    MultiStepLR,
    Schedule,
    SequentialLR,
    StepLR,
)
from .trainer import Trainer

__all__ = [
    "CNN",
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "BestWeights",
    "Callback",
    "ChainedScheduler",
    "CosineAnnealingLR",
    "Dense",
    "EarlyStopping",
    "ExponentialLR",
    "History",
    "Jin",
    "LeNet",
    "LinearLR",
    "MultiStepLR",
    "Optimizer",
    "ProgressBar",
    "RMSprop",
    "Schedule",
    "SequentialLR",
    "StepLR",
    "Trainer",
    "clip_grad_norm",
    "clip_grad_value",
    "load_model",
    "save_model",
]
