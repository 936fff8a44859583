"""Training: optimizers, schedules, data, the loop, checkpoints, pictures, the command line."""

from .loop.callbacks import BestWeights, Callback, EarlyStopping, ProgressBar
from .loop.checkpoints import Checkpoints
from .loop.history import History
from .loop.metrics import larger_is_better, smaller_is_better
from .loop.schedules import (
    ChainedScheduler,
    CosineAnnealingLR,
    ExponentialLR,
    LinearLR,
    MultiStepLR,
    Schedule,
    SequentialLR,
    StepLR,
)
from .loop.state import CheckpointWarning
from .loop.trainer import Trainer
from .models import CNN, Dense, Jin, LeNet, ResNet
from .optimizers import SGD, Adagrad, Adam, AdamW, Optimizer, RMSprop, clip_grad_norm, clip_grad_value
from .runs.model_file import load_model, save_model

__all__ = [
    "CNN",
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "BestWeights",
    "Callback",
    "ChainedScheduler",
    "CheckpointWarning",
    "Checkpoints",
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
    "ResNet",
    "Schedule",
    "SequentialLR",
    "StepLR",
    "Trainer",
    "clip_grad_norm",
    "clip_grad_value",
    "larger_is_better",
    "load_model",
    "save_model",
    "smaller_is_better",
]
