"""The power spectrum of each signal of an array that is larger than memory."""

import lowmem


@lowmem.map(source="signals.npy", out="spectra.zarr", unit="signals")
def spectra(signals):
    """Power spectrum of each signal."""
    import numpy as np

    return np.abs(np.fft.rfft(signals, axis=1)) ** 2
