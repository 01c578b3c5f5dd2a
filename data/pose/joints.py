"""The 13 joints of DHP19, in the order of its label files."""

JOINTS = (
    "head",
    "shoulderR",
    "shoulderL",
    "elbowR",
    "elbowL",
    "hipR",
    "hipL",
    "handR",
    "handL",
    "kneeR",
    "kneeL",
    "footR",
    "footL",
)

N_JOINTS = len(JOINTS)

# Pairs of joints that a drawn skeleton connects.
BONES = tuple(
    (JOINTS.index(a), JOINTS.index(b))
    for a, b in (
        ("head", "shoulderR"),
        ("head", "shoulderL"),
        ("shoulderR", "shoulderL"),
        ("shoulderR", "elbowR"),
        ("elbowR", "handR"),
        ("shoulderL", "elbowL"),
        ("elbowL", "handL"),
        ("shoulderR", "hipR"),
        ("shoulderL", "hipL"),
        ("hipR", "hipL"),
        ("hipR", "kneeR"),
        ("kneeR", "footR"),
        ("hipL", "kneeL"),
        ("kneeL", "footL"),
    )
)
