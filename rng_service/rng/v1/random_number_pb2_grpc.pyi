from collections.abc import AsyncIterator

from grpc import aio

from rng_service.rng.v1 import random_number_pb2 as pb2

class RandomNumberStub:
    def __init__(self, channel: aio.Channel) -> None: ...
    Generate: aio.UnaryUnaryMultiCallable[pb2.GenerateRequest, pb2.GenerateResponse]
    Stream: aio.UnaryStreamMultiCallable[pb2.StreamRequest, pb2.StreamResponse]

class RandomNumberServicer:
    async def Generate(self, request: pb2.GenerateRequest, context: aio.ServicerContext[pb2.GenerateRequest, pb2.GenerateResponse]) -> pb2.GenerateResponse: ...
    def Stream(self, request: pb2.StreamRequest, context: aio.ServicerContext[pb2.StreamRequest, pb2.StreamResponse]) -> AsyncIterator[pb2.StreamResponse]: ...

def add_RandomNumberServicer_to_server(servicer: RandomNumberServicer, server: aio.Server) -> None: ...
