"""The wire: code generated from proto/devtelemetry/v1/telemetry.proto by `make proto`."""

PUSH = "/devtelemetry.v1.Telemetry/Push"  # the one method, as gRPC spells it
SERVICE = "devtelemetry.v1.Telemetry"
