"""What a message becomes on the air: frames, their overhead, and those that are lost and sent again."""

from __future__ import annotations

from dataclasses import dataclass

from lifesim.streams import generator


@dataclass(frozen=True, slots=True)
class OnAir:
    """A message as it was sent: ``n_bytes`` in ``frames`` transmissions, overhead and lost ones included, ``last_bytes`` in the last."""

    n_bytes: int
    frames: int
    last_bytes: int


@dataclass(frozen=True, slots=True)
class Framing:
    """A message is cut into frames of at most ``payload_bytes``; each is sent again until it arrives.

    Parameters
    ----------
    payload_bytes : bytes of a message that a frame carries at most, >= 1
    overhead_bytes : bytes that each frame adds: headers, and whatever else takes the time of so many bytes
    loss : probability that a frame is lost, < 1; independent from frame to frame
    """

    payload_bytes: int = 1500
    overhead_bytes: int = 0
    loss: float = 0.0

    def on_air(self, n_bytes: int, key: int) -> OnAir:
        """Return how a message of ``n_bytes`` goes through; ``key`` is of the stream that says which frames are lost.

        Attempts are geometric, so n frames need n plus a negative binomial number of them. Full frames and the last one, which is
        shorter, are drawn apart.
        """
        if n_bytes == 0:
            return OnAir(0, 0, 0)
        full, last_payload = divmod(n_bytes - 1, self.payload_bytes)
        last_payload += 1
        lost_full = lost_last = 0
        if self.loss:
            draw = generator(key)
            lost_last = int(draw.negative_binomial(1, 1.0 - self.loss))
            lost_full = int(draw.negative_binomial(full, 1.0 - self.loss)) if full else 0
        frames = full + 1 + lost_full + lost_last
        payload = n_bytes + lost_full * self.payload_bytes + lost_last * last_payload
        return OnAir(payload + frames * self.overhead_bytes, frames, last_payload + self.overhead_bytes)
