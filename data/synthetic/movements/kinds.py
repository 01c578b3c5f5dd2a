"""DHP19's kinds of movement, each drawn with its own speed, size and reaction of the trunk."""

from collections.abc import Callable
from enum import Enum

import numpy as np

from ann2sdnn.data.synthetic.body.motion import Motion, Sides
from ann2sdnn.data.synthetic.movements import arms as arm_movements
from ann2sdnn.data.synthetic.movements import legs as leg_movements
from ann2sdnn.data.synthetic.movements import whole_body as whole_body_movements

Maker = Callable[[np.random.Generator, Sides], Motion]


class Kind(str, Enum):
    """Kinds of movement in DHP19."""

    WALK = "walk"
    JOG = "jog"
    JUMP = "jump"
    JUMP_FORWARD = "jump forward"
    HOP = "hop"
    STAR_JUMP = "star jump"
    ARM_ABDUCTION = "arm abduction"
    LEG_ABDUCTION = "leg abduction"
    BICEPS_CURL = "biceps curl"
    KNEE_LIFT = "knee lift"
    KICK = "kick"
    SIDE_KICK = "side kick"
    PUNCH_FORWARD = "punch forward"
    PUNCH_UP = "punch up"
    PUNCH_DOWN = "punch down"
    WAVE = "wave"
    ARM_CIRCLE = "arm circle"
    FIGURE_OF_EIGHT = "figure of eight"
    CLAP = "clap"


def make_movement(kind: Kind, sides: Sides, rng: np.random.Generator) -> Motion:
    """Draw one performance of a movement with the given limbs."""
    return _MAKERS[kind](rng, sides)


_MAKERS: dict[Kind, Maker] = {
    Kind.WALK: whole_body_movements.walk,
    Kind.JOG: whole_body_movements.jog,
    Kind.JUMP: whole_body_movements.jump,
    Kind.JUMP_FORWARD: whole_body_movements.jump_forward,
    Kind.HOP: whole_body_movements.hop,
    Kind.STAR_JUMP: whole_body_movements.star_jump,
    Kind.ARM_ABDUCTION: arm_movements.arm_abduction,
    Kind.LEG_ABDUCTION: leg_movements.leg_abduction,
    Kind.BICEPS_CURL: arm_movements.biceps_curl,
    Kind.KNEE_LIFT: leg_movements.knee_lift,
    Kind.KICK: leg_movements.kick,
    Kind.SIDE_KICK: leg_movements.side_kick,
    Kind.PUNCH_FORWARD: arm_movements.punch_forward,
    Kind.PUNCH_UP: arm_movements.punch_up,
    Kind.PUNCH_DOWN: arm_movements.punch_down,
    Kind.WAVE: arm_movements.wave,
    Kind.ARM_CIRCLE: arm_movements.arm_circle,
    Kind.FIGURE_OF_EIGHT: arm_movements.figure_of_eight,
    Kind.CLAP: arm_movements.clap,
}
