//! gRPC, web pages, webhook, metrics and health on one port.
