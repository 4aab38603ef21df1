"""The wire: code generated from proto/devtelemetry/v1/telemetry.proto by `make proto`."""

PUSH = "/devtelemetry.v1.Telemetry/Push"  # the only method, as gRPC writes it
SERVICE = "devtelemetry.v1.Telemetry"
