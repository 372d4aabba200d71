//! Requests and answers.

use wasip2::http::outgoing_handler::{self, FutureIncomingResponse};
use wasip2::http::types::{
    ErrorCode, Fields, IncomingResponse, Method, OutgoingBody, OutgoingRequest, RequestOptions, Scheme,
    http_error_code,
};
use wasip2::io::streams::{OutputStream, StreamError};

const MILLISECOND: u64 = 1_000_000;

#[derive(Default)]
struct Plan<'a> {
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
    claim: Option<&'a str>,
    times: usize,
    parallel: usize,
    follow: bool,
    first: bool,
    size: bool,
    connect: Option<u64>,
    head: Option<u64>,
    between: Option<u64>,
    pause: u64,
}

fn number(text: &str) -> u64 {
    text.parse().expect("a number")
}

fn code(code: ErrorCode) -> String {
    format!("{code:?}")
}

fn plan<'a>(options: &[&'a str]) -> Result<Plan<'a>, String> {
    let mut plan = Plan { times: 1, parallel: 1, ..Plan::default() };
    for option in options {
        let (key, value) = option.split_once(':').unwrap_or((option, ""));
        match key {
            "h" => {
                let (name, value) = value.split_once('=').expect("a name and a value");
                let value = value.replace("\\r", "\r").replace("\\n", "\n").replace('_', " ");
                plan.headers.push((name.to_owned(), value.into_bytes()));
            }
            "secret" => {
                let value = format!("Bearer {}", crate::open(value)?.stand_in());
                plan.headers.push(("authorization".to_owned(), value.into_bytes()));
            }
            "basic" => {
                let value = crate::open(value)?.basic("joe");
                plan.headers.push(("authorization".to_owned(), value.into_bytes()));
            }
            "text" => plan.body = value.as_bytes().to_vec(),
            "bytes" => plan.body = vec![b'x'; number(value) as usize],
            "claim" => plan.claim = Some(value),
            "times" => plan.times = number(value) as usize,
            "parallel" => plan.parallel = number(value) as usize,
            "follow" => plan.follow = true,
            "first" => plan.first = true,
            "size" => plan.size = true,
            "connect" => plan.connect = Some(number(value) * MILLISECOND),
            "head" => plan.head = Some(number(value) * MILLISECOND),
            "between" => plan.between = Some(number(value) * MILLISECOND),
            "pause" => plan.pause = number(value) * MILLISECOND,
            other => panic!("no such option: {other}"),
        }
    }
    Ok(plan)
}

/// Does what the words say.
pub fn run(method: &str, url: &str, options: &[&str]) -> Result<String, String> {
    let plan = plan(options)?;
    let mut last = String::new();
    for _ in 0..plan.times {
        let sent: Result<Vec<_>, _> = (0..plan.parallel).map(|_| send(method, url, &plan)).collect();
        let mut answers = Vec::new();
        let mut held = Vec::new();
        for future in sent? {
            let response = head(future)?;
            let location = response.headers().get("location").into_iter().next();
            if let (true, Some(location)) = (plan.follow, location) {
                let location = String::from_utf8(location).expect("a text");
                return read(&head(send(method, &location, &plan)?)?, &plan);
            }
            answers.push(read(&response, &plan)?);
            held.push(response);
        }
        last = answers.join(" ");
    }
    Ok(last)
}

fn parts(url: &str) -> (Scheme, &str, &str) {
    let (scheme, rest) = url.split_once("://").expect("a scheme");
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let scheme = match scheme {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        other => Scheme::Other(other.to_owned()),
    };
    (scheme, authority, path)
}

fn send(method: &str, url: &str, plan: &Plan<'_>) -> Result<FutureIncomingResponse, String> {
    let (scheme, authority, path) = parts(url);
    let fields = Fields::new();
    for (name, value) in &plan.headers {
        fields.append(name, value).map_err(|error| format!("{name}: {error:?}"))?;
    }
    if let Some(claim) = plan.claim {
        fields.append("content-length", claim.as_bytes()).map_err(|error| format!("{error:?}"))?;
    }
    let request = OutgoingRequest::new(fields);
    let method = match method {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" => Method::Post,
        "CONNECT" => Method::Connect,
        other => Method::Other(other.to_owned()),
    };
    request.set_method(&method).map_err(|()| "method".to_owned())?;
    request.set_scheme(Some(&scheme)).map_err(|()| "scheme".to_owned())?;
    request.set_authority(Some(authority)).map_err(|()| "authority".to_owned())?;
    request.set_path_with_query(Some(path)).map_err(|()| "path".to_owned())?;
    let options = RequestOptions::new();
    options.set_connect_timeout(plan.connect).expect("it is taken");
    options.set_first_byte_timeout(plan.head).expect("it is taken");
    options.set_between_bytes_timeout(plan.between).expect("it is taken");
    let body = request.body().expect("a body");
    let future = outgoing_handler::handle(request, Some(options)).map_err(code)?;
    if !plan.body.is_empty() {
        let stream = body.write().expect("a stream");
        // Whoever refuses the request does not read it; the answer says why.
        let _ = pour(&stream, &plan.body);
    }
    let _ = OutgoingBody::finish(body, None);
    Ok(future)
}

fn pour(stream: &OutputStream, mut bytes: &[u8]) -> Result<(), StreamError> {
    while !bytes.is_empty() {
        stream.subscribe().block();
        let room = stream.check_write()? as usize;
        let (now, later) = bytes.split_at(room.min(bytes.len()));
        stream.write(now)?;
        bytes = later;
    }
    stream.blocking_flush()
}

fn head(future: FutureIncomingResponse) -> Result<IncomingResponse, String> {
    future.subscribe().block();
    future.get().expect("it is ready").expect("it is taken once").map_err(code)
}

fn read(response: &IncomingResponse, plan: &Plan<'_>) -> Result<String, String> {
    let body = response.consume().expect("a body");
    let stream = body.stream().expect("a stream");
    let mut text = Vec::new();
    let mut size = 0;
    loop {
        match stream.blocking_read(64 * 1024) {
            Ok(bytes) => {
                size += bytes.len();
                text.extend(bytes.into_iter().take(1000usize.saturating_sub(text.len())));
                if plan.first && size > 0 {
                    wasip2::clocks::monotonic_clock::subscribe_duration(plan.pause).block();
                    break;
                }
            }
            Err(StreamError::Closed) => break,
            Err(StreamError::LastOperationFailed(error)) => {
                return Err(http_error_code(&error).map_or_else(|| error.to_debug_string(), code));
            }
        }
    }
    let status = response.status();
    Ok(if plan.size {
        format!("{status} {size}")
    } else {
        format!("{status} {}", String::from_utf8_lossy(&text))
    })
}
