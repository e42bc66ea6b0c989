//! What a worker serves.

use std::any::Any;
use std::convert::Infallible;

use axum::Router;
use axum::body::Bytes;
use axum::extract::Request;
use tower::Service;

/// What a worker can serve: an [axum] router, or any other [tower] service that answers each request. Nothing else
/// implements it.
pub trait Application: sealed::IntoRouter + Send + 'static {}

impl<A: sealed::IntoRouter + Send + 'static> Application for A {}

mod sealed {
    use super::*;

    pub trait IntoRouter {
        fn into_router(self) -> Router;
    }

    impl<S, B> IntoRouter for S
    where
        S: Service<Request, Response = http::Response<B>, Error = Infallible> + Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<axum::BoxError>,
    {
        /// A router as it is: a service within another would cost each request a little.
        fn into_router(self) -> Router {
            match (&self as &dyn Any).downcast_ref::<Router>() {
                Some(router) => router.clone(),
                None => Router::new().fallback_service(self),
            }
        }
    }
}
