//! Programs that people really use, through the gateway's binary: what they make of it counts more
//! than what our own clients think.

mod browser;
mod curl;
mod gateway;
mod grpc;
mod site;
mod websocket;
