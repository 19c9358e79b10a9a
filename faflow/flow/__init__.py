"""Rules as ordinary differential equations in their matrices; only here a solver is imported."""
