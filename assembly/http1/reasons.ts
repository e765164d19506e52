// The phrase behind a status in HTTP/1 (RFC 9110 §15, and the registry of IANA): an answer that came in HTTP/2 has none.

import { intern } from "../bytes";

const FIRST: u32 = 100;
const COUNT: u32 = 412;

/** By status less FIRST: address of an interned text, or 0. */
const texts: usize = memory.data(1648);

function name(status: u32, text: string): void {
  store<u32>(texts + (usize(status - FIRST) << 2), u32(intern(text)));
}

name(100, "Continue");
name(101, "Switching Protocols");
name(102, "Processing");
name(103, "Early Hints");
name(200, "OK");
name(201, "Created");
name(202, "Accepted");
name(203, "Non-Authoritative Information");
name(204, "No Content");
name(205, "Reset Content");
name(206, "Partial Content");
name(207, "Multi-Status");
name(208, "Already Reported");
name(226, "IM Used");
name(300, "Multiple Choices");
name(301, "Moved Permanently");
name(302, "Found");
name(303, "See Other");
name(304, "Not Modified");
name(305, "Use Proxy");
name(307, "Temporary Redirect");
name(308, "Permanent Redirect");
name(400, "Bad Request");
name(401, "Unauthorized");
name(402, "Payment Required");
name(403, "Forbidden");
name(404, "Not Found");
name(405, "Method Not Allowed");
name(406, "Not Acceptable");
name(407, "Proxy Authentication Required");
name(408, "Request Timeout");
name(409, "Conflict");
name(410, "Gone");
name(411, "Length Required");
name(412, "Precondition Failed");
name(413, "Content Too Large");
name(414, "URI Too Long");
name(415, "Unsupported Media Type");
name(416, "Range Not Satisfiable");
name(417, "Expectation Failed");
name(421, "Misdirected Request");
name(422, "Unprocessable Content");
name(423, "Locked");
name(424, "Failed Dependency");
name(425, "Too Early");
name(426, "Upgrade Required");
name(428, "Precondition Required");
name(429, "Too Many Requests");
name(431, "Request Header Fields Too Large");
name(451, "Unavailable For Legal Reasons");
name(500, "Internal Server Error");
name(501, "Not Implemented");
name(502, "Bad Gateway");
name(503, "Service Unavailable");
name(504, "Gateway Timeout");
name(505, "HTTP Version Not Supported");
name(506, "Variant Also Negotiates");
name(507, "Insufficient Storage");
name(508, "Loop Detected");
name(511, "Network Authentication Required");

/** An interned text, or 0: the status has no name. */
export function reasonOf(status: u32): usize {
  const at = status - FIRST;
  return at < COUNT ? usize(load<u32>(texts + (usize(at) << 2))) : 0;
}
