"""The service against its own OpenAPI document, by schemathesis."""

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    unsupported_method,
]
OPERATIONS = ["/v1/analyze", "/v1/classify", "/v1/models", "/healthz", "/readyz", "/metrics"]
#: With what the document allows, and with what it does not, where it leaves something to choose.
TRIED = [(path, GenerationMode.POSITIVE) for path in OPERATIONS]
TRIED += [(path, GenerationMode.NEGATIVE) for path in OPERATIONS[:2]]


def operations(service):
    document = schemathesis.openapi.from_url(f"http://127.0.0.1:{service.port}/openapi.json")
    return {each.path: each for each in (found.ok() for found in document.get_all_operations())}


def test_every_operation_is_tried(service):
    assert sorted(operations(service)) == sorted(OPERATIONS)


@pytest.mark.parametrize(("path", "mode"), TRIED)
def test_answers_are_as_the_document_says(service, path, mode):
    operation = operations(service)[path]

    @settings(
        max_examples=20,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def try_it(case):
        case.call_and_validate(checks=CHECKS)

    try_it()
