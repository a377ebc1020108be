"""All processes that work together: how they exchange values, and how all learn that one has failed."""

import pickle
import traceback
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, ClassVar, NoReturn, Protocol, TypeVar

import torch
from torch import Tensor
from typing_extensions import Self

T = TypeVar("T")

CHUNK_BYTES = 2**26
"""How much a process hands to the wire at a time."""

_LONGEST_TEXT = 4096
_MAX_DIMS = 4
_KINDS = ("all_gather", "gather", "broadcast", "all_gather_rows", "all_to_all", "ready", "leave", "fail")
_DTYPES = (
    *(torch.float32, torch.float64, torch.float16, torch.bfloat16),
    *(torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool),
)


class PeerError(RuntimeError):
    """Work that all processes do together has failed on another process."""


class PeersLostError(PeerError):
    """The processes no longer reach each other: one has died, or the wait for it has ended."""


class Wire(Protocol):
    """How bytes get from process to process."""

    @property
    def rank(self) -> int:
        """Place of this process among all."""

    @property
    def world_size(self) -> int:
        """Number of processes."""

    def swap(self, outgoing: Sequence[Tensor], lengths: Sequence[int]) -> Sequence[Tensor]:
        """Hand every process its bytes. Every process must call it.

        Args:
            outgoing: Bytes for each rank, shape ``(bytes,)`` uint8 on the CPU.
            lengths: How many bytes come from each rank.

        Returns:
            The bytes from each rank.

        """


class Peers:
    """All processes that do one piece of work together: the ways in which they exchange values, and who has failed.

    All processes make the same exchanges in the same order inside the ``with`` block; leaving it is one too. Every
    exchange says whether its process is still well. A process that raises takes part in one more exchange to tell its
    error, and re-raises it; every other process raises `PeerError` at its next exchange. So all leave the block well
    or none does, and the process group can be used afterwards. Exceptions that are no `Exception`, such as a
    ``KeyboardInterrupt``, are not told.

    Get it from `in_step`. A process by itself exchanges nothing and copies nothing.

    Args:
        what: The work, in a few words, for messages.
        wire: How bytes get from process to process.

    Attributes:
        bytes_sent: Bytes of the values that this process has sent to others.

    Example:
        >>> from lightning_dissect.distributed import in_step
        >>> with in_step("counting images") as peers:
        ...     sum(peers.all_gather(24))
        24

    """

    def __init__(self, what: str, wire: Wire) -> None:
        self.bytes_sent = 0
        self._what = what
        self._wire = wire
        self._over = False

    @property
    def rank(self) -> int:
        """Place of this process among all."""
        return self._wire.rank

    @property
    def world_size(self) -> int:
        """Number of processes."""
        return self._wire.world_size

    def all_gather(self, value: T) -> list[T]:
        """Bring one small picklable value per process to every process.

        Args:
            value: This process's value.

        Returns:
            The values in the order of the ranks.

        """
        if self.world_size == 1:
            return [value]
        return [_unpickled(part) for part in self._exchange("all_gather", [_pickled(value)] * self.world_size)]

    def gather(self, value: T) -> list[T] | None:
        """Bring one picklable value per process to rank 0.

        Args:
            value: This process's value.

        Returns:
            The values in the order of the ranks on rank 0, ``None`` elsewhere.

        """
        if self.world_size == 1:
            return [value]
        received = self._exchange("gather", [_pickled(value), *[_nothing()] * (self.world_size - 1)])
        return None if self.rank else [_unpickled(part) for part in received]

    def broadcast(self, value: T) -> T:
        """Send rank 0's small picklable value to every process.

        Args:
            value: The value on rank 0; what other processes pass is ignored.

        Returns:
            Rank 0's value.

        """
        if self.world_size == 1:
            return value
        part = _nothing() if self.rank else _pickled(value)
        received: T = _unpickled(self._exchange("broadcast", [part] * self.world_size)[0])
        return received

    def all_gather_rows(self, rows: Tensor) -> list[Tensor]:
        """Bring the rows of every process to every process.

        Args:
            rows: Any number of rows on the CPU, shape ``(rows, ...)`` of at most four dimensions. The shape of a row
                and the dtype are the same everywhere, but a process without rows need not know them.

        Returns:
            The rows of each process in the order of the ranks; all of one dtype and shape of row.

        Raises:
            ValueError:
                If processes have rows of different shapes or dtypes.

        """
        _check_part("rows", rows, dims=range(1, _MAX_DIMS + 1))
        parts = self._exchange("all_gather_rows", [rows.contiguous()] * self.world_size)
        model = max(parts, key=lambda part: (len(part) > 0, part.shape[1:].numel()))
        for other, part in enumerate(parts):
            if len(part) and (part.shape[1:], part.dtype) != (model.shape[1:], model.dtype):
                raise ValueError(
                    f"Expected `rows` to have one shape of row and one dtype on all processes but got "
                    f"{tuple(model.shape[1:])} of {model.dtype} and, on rank {other}, {tuple(part.shape[1:])} of "
                    f"{part.dtype}."
                )
        return [part if len(part) else model[:0] for part in parts]

    def all_to_all(self, parts: Sequence[Tensor]) -> list[Tensor]:
        """Hand every process a matrix of its own.

        Args:
            parts: What each rank gets, in the order of the ranks: matrices on the CPU, of any sizes.

        Returns:
            What each rank has for this one, in the order of the ranks. What it has for itself is not copied.

        Raises:
            ValueError:
                If there is not one part per process, or one is no matrix on the CPU.

        """
        if len(parts) != self.world_size:
            raise ValueError(
                f"Expected `parts` to have one for each of {self.world_size} processes but got {len(parts)}."
            )
        for part in parts:
            _check_part("parts", part, dims=(2,))
        return self._exchange("all_to_all", parts)

    def logsumexp(self, values: Tensor) -> Tensor:
        """Add, element by element, what all processes hold the logarithms of.

        Every element is summed by one process only, so all have the same result.

        Args:
            values: Logarithms, shape ``(elements,)`` float64; minus infinity stands for nothing.

        Returns:
            Logarithms of the sums, same shape and dtype.

        Raises:
            ValueError:
                If the values are no float64 vector on the CPU, or not equally many on all processes.

        """
        if values.ndim != 1 or values.dtype != torch.float64:
            raise ValueError(
                f"Expected `values` to be a float64 vector but got {values.dtype} of shape {tuple(values.shape)}."
            )
        addends = self.all_to_all([part[None] for part in values.tensor_split(self.world_size)])
        if any(part.shape != addends[0].shape for part in addends):
            raise ValueError(
                f"Expected `values` to have equally many elements on all processes but got {len(values)} on rank "
                f"{self.rank} and another number elsewhere."
            )
        return torch.cat(self.all_gather_rows(torch.cat(addends).logsumexp(dim=0)))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.world_size > 1 and not self._over:
            if error is None:
                self._agree([_Header("leave")] * self.world_size)
            elif isinstance(error, Exception) and not isinstance(error, PeersLostError):
                self._tell(error)
        self._over = True

    @torch.inference_mode(mode=False)
    def _exchange(self, kind: str, parts: Sequence[Tensor]) -> list[Tensor]:
        """Send part ``s`` to rank ``s`` and return what each rank sent; the own part is not copied."""
        if self.world_size == 1:
            return list(parts)
        outgoing = [_as_bytes(part) for part in parts]
        outgoing[self.rank] = _nothing()
        largest = max(map(len, outgoing))
        headers = self._agree([_Header(kind, 0, largest, part.dtype, tuple(part.shape)) for part in parts])
        received = [torch.empty(header.shape, dtype=header.dtype) for header in headers]
        incoming = [_as_bytes(part) for part in received]
        received[self.rank], incoming[self.rank] = parts[self.rank], _nothing()
        self._carry(outgoing, incoming, max(header.largest for header in headers))
        return received

    def _carry(self, outgoing: Sequence[Tensor], incoming: Sequence[Tensor], largest: int) -> None:
        """Fill ``incoming`` with what the other processes send, a chunk of every part at a time."""
        step = max(1, CHUNK_BYTES // self.world_size)
        if largest > step:
            self._agree([_Header("ready")] * self.world_size)
        for start in range(0, largest, step):
            sent, wanted = ([part[start : start + step] for part in parts] for parts in (outgoing, incoming))
            for part, came in zip(wanted, self._swap(sent, [len(part) for part in wanted]), strict=True):
                part.copy_(came)
            self.bytes_sent += sum(map(len, sent))

    def _agree(self, mine: "Sequence[_Header]", text: bytes = b"") -> "list[_Header]":
        """Tell each process what this one is about to send it, or why it has failed; return what each tells."""
        if self._over:
            raise PeerError(f"Expected no exchange in {self._what} after its end but got `{mine[0].kind}`.")
        told = self._swap([header.as_bytes() for header in mine], [_Header.LENGTH] * self.world_size)
        headers = [_Header.read(part) for part in told]
        if any(header.text for header in headers):
            texts = self._swap([_tensor(text)] * self.world_size, [header.text for header in headers])
            rank = next(rank for rank, header in enumerate(headers) if header.text)
            first = bytes(texts[rank].tolist()).decode(errors="replace")
            self._end(f"Rank {rank} has failed in {self._what}: {first}")
        for rank, header in enumerate(headers):
            if header.kind != headers[0].kind:
                self._end(
                    f"Expected all processes to make the same exchanges in {self._what} but got `{headers[0].kind}` "
                    f"on rank 0 and `{header.kind}` on rank {rank}."
                )
        return headers

    def _tell(self, error: Exception) -> None:
        text = "".join(traceback.format_exception_only(error)).strip().encode(errors="replace")[:_LONGEST_TEXT]
        with suppress(PeerError):
            self._agree([_Header("fail", len(text))] * self.world_size, text)

    def _end(self, message: str) -> NoReturn:
        self._over = True
        raise PeerError(message)

    def _swap(self, outgoing: Sequence[Tensor], lengths: Sequence[int]) -> Sequence[Tensor]:
        try:
            return self._wire.swap(outgoing, lengths)
        except Exception as error:
            self._over = True
            message = f"Rank {self.rank} no longer reaches the other processes in {self._what}: {error}"
            raise PeersLostError(message) from error


@dataclass(frozen=True)
class _Header:
    """What a process tells another before every exchange."""

    LENGTH: ClassVar[int] = 8 * (5 + _MAX_DIMS)

    kind: str
    text: int = 0
    largest: int = 0
    dtype: torch.dtype = torch.uint8
    shape: tuple[int, ...] = (0,)

    def as_bytes(self) -> Tensor:
        head = [_KINDS.index(self.kind), self.text, self.largest, _DTYPES.index(self.dtype), len(self.shape)]
        return torch.tensor([*head, *self.shape, *[0] * (_MAX_DIMS - len(self.shape))]).view(torch.uint8)

    @classmethod
    def read(cls, told: Tensor) -> "_Header":
        kind, text, largest, dtype, ndim, *shape = told.clone().view(torch.int64).tolist()
        return cls(_KINDS[kind], text, largest, _DTYPES[dtype], tuple(shape[:ndim]))


def _check_part(name: str, part: Tensor, dims: Sequence[int]) -> None:
    if part.device.type != "cpu" or part.dtype not in _DTYPES or part.ndim not in dims:
        raise ValueError(
            f"Expected `{name}` to be on the CPU, real, with {' or '.join(map(str, dims))} dimensions but got "
            f"{part.dtype} of shape {tuple(part.shape)} on {part.device}."
        )


def _tensor(content: bytes) -> Tensor:
    return torch.frombuffer(bytearray(content), dtype=torch.uint8) if content else _nothing()


def _pickled(value: object) -> Tensor:
    return _tensor(pickle.dumps(value))


def _unpickled(part: Tensor) -> Any:  # noqa: ANN401
    return pickle.loads(part.numpy().tobytes())  # noqa: S301 - it comes from another process of the same training


def _nothing() -> Tensor:
    return torch.empty(0, dtype=torch.uint8)


def _as_bytes(part: Tensor) -> Tensor:
    return part.detach().contiguous().as_strided((part.numel(),), (1,)).view(torch.uint8)
