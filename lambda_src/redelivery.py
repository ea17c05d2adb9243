"""Ask SQS to hand over again soon what could not be dealt with."""

from __future__ import annotations

from typing import Any, Protocol

from botocore.exceptions import BotoCoreError, ClientError

from lambda_src import log

LONGEST_WAIT_SECONDS = 8
RECORDS_PER_CALL = 10


class SqsClient(Protocol):
    """The one operation of SQS that is used."""

    def change_message_visibility_batch(self, *, QueueUrl: str, Entries: list[dict[str, Any]]) -> Any: ...  # noqa: N803


def hand_over_again_soon(sqs: SqsClient, queue_url: str, event: Any) -> None:
    """Shorten the wait for the records of a failed invocation: 1 s, and twice as long each time they fail again.

    Lambda leaves them invisible for the rest of the queue's visibility timeout, and in a FIFO queue they hold up every
    later message of their group: one failure would freeze the document for minutes.
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-visibility-timeout.html
    """
    records = event.get("Records") if isinstance(event, dict) else None
    entries = [
        {"Id": str(index), "ReceiptHandle": record["receiptHandle"], "VisibilityTimeout": _wait(record)}
        for index, record in enumerate(records if isinstance(records, list) else [])
        if isinstance(record, dict) and "receiptHandle" in record
    ]
    for start in range(0, len(entries), RECORDS_PER_CALL):
        try:
            sqs.change_message_visibility_batch(QueueUrl=queue_url, Entries=entries[start : start + RECORDS_PER_CALL])
        except (BotoCoreError, ClientError) as error:
            log.warning("records come again only after the visibility timeout", problem=str(error))


def _wait(record: dict[str, Any]) -> int:
    try:
        received = int(record["attributes"]["ApproximateReceiveCount"])
    except (LookupError, TypeError, ValueError):
        received = 1
    return int(min(2 ** min(max(received - 1, 0), 10), LONGEST_WAIT_SECONDS))
