"""DHP19's kinds of movement by name, each drawn with its own speed, size and trunk reaction."""

from collections.abc import Callable
from functools import partial

import numpy as np

from ann2sdnn.data.synthetic.body.motion import Motion, Sides
from ann2sdnn.data.synthetic.movements import arms, legs, whole_body

KINDS: dict[str, Callable[[np.random.Generator, Sides], Motion]] = {
    "walk": partial(whole_body.gait, period_s=(1.0, 1.35), jog=False),
    "jog": partial(whole_body.gait, period_s=(0.68, 0.85), jog=True),
    "jump": whole_body.jump,
    "jump forward": partial(whole_body.jump, forward_mm=(150, 350)),
    "hop": whole_body.hop,
    "star jump": whole_body.star_jump,
    "arm abduction": arms.arm_abduction,
    "leg abduction": partial(legs.leg_aside, period_s=(2.0, 3.2), size=(22, 42)),
    "biceps curl": arms.biceps_curl,
    "knee lift": legs.knee_lift,
    "kick": legs.kick,
    "side kick": partial(legs.leg_aside, period_s=(1.3, 2.0), size=(35, 55)),
    "punch forward": partial(arms.punch, aim=(78, 92), period_s=(1.2, 2.2)),
    "punch up": partial(arms.punch, aim=(120, 145), period_s=(1.3, 2.3)),
    "punch down": partial(arms.punch, aim=(40, 58), period_s=(1.2, 2.2)),
    "wave": arms.wave,
    "arm circle": partial(arms.figure, vertical=1, period_s=(1.3, 2.4)),
    "figure of eight": partial(arms.figure, vertical=2, period_s=(1.8, 3.2)),
    "clap": arms.clap,
}
