"""The oracle: the engine written from `docs/isa.md` alone, for tests and benches."""
