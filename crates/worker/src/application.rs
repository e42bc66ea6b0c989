//! What a worker serves.

use std::any::Any;
use std::convert::Infallible;

use axum::Router;
use axum::body::Bytes;
use axum::extract::Request;
use tower::Service;

/// What a worker can serve: an [axum] [`Router`], or any other [`tower::Service`] that takes axum's
/// [`Request`], has the error [`Infallible`], and returns a response with a body of [`Bytes`]. The service
/// has to be `Clone + Send + Sync + 'static`, and its future and the body `Send + 'static`. No other type
/// implements this trait.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be served",
    note = "it has to be an `axum::Router` without a missing state, or a `tower::Service` that takes `axum::extract::Request`, has \
            the error `Infallible`, and is `Clone + Send + Sync + 'static`"
)]
pub trait Application: sealed::IntoRouter {}

impl<A: sealed::IntoRouter> Application for A {}

mod sealed {
    use super::*;

    pub trait IntoRouter: Send + 'static {
        fn into_router(self) -> Router;
    }

    impl<S, B> IntoRouter for S
    where
        S: Service<Request, Response = http::Response<B>, Error = Infallible> + Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<axum::BoxError>,
    {
        /// Uses a router as it is: a service within another one would cost each request a little.
        fn into_router(self) -> Router {
            match (&self as &dyn Any).downcast_ref::<Router>() {
                Some(router) => router.clone(),
                None => Router::new().fallback_service(self),
            }
        }
    }
}
