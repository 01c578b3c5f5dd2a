"""The engine's innermost loops, written in LLVM's vector instructions as numba's intrinsics."""
