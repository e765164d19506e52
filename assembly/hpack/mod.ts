// Header compression (RFC 7541), as its users see it: tables that they place, a decoder and an encoder.

export * from "./decoder";
export * from "./dynamic_table";
export * from "./encoder";
export * from "./huffman";
export * from "./integers";
export * from "./lookup";
export * from "./static_table";
