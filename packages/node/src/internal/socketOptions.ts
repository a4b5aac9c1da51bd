/** Of the sockets of both sides. `closeTimeout`: how long a peer may take to answer a close frame, in milliseconds. */
export const socketOptions = { perMessageDeflate: false, closeTimeout: 2000 }
