/* SPDX-License-Identifier: Apache-2.0 */
/* Every bound that more than one file relies on, each with its reason. */
#ifndef TW_BASE_LIMITS_H
#define TW_BASE_LIMITS_H

#define TW_VERSION "1.0.0"

/* One IPC packet. SOCK_SEQPACKET at default socket buffers holds four of these. */
#define LIMIT_PACKET 65536
/* Texts up to this travel inside a packet, longer ones in a sealed memfd. */
#define LIMIT_INLINE_TEXT 32768
/* Largest WebSocket message taken from or sent to Tower as one payload: the public agent's own
 * limit. */
#define LIMIT_PAYLOAD 10485760
/* Default for --max-output: what the public agent cuts at. */
#define LIMIT_OUTPUT_DEFAULT 10485660
/* --max-output may be raised to what the platform's 15 MB payload bears once base64 (4/3) and the
 * frame are added. */
#define LIMIT_OUTPUT 11250000
/* A command request's id, bytes of UTF-8. */
#define LIMIT_ID 1024
/* AGENT_CONNECTION_ID, bytes: percent-encoded it is at most three times that in the request line.
 */
#define LIMIT_CONNECTION_ID 1024
/* A personal access token, bytes. */
#define LIMIT_TOKEN 4096
/* Host names: RFC 1035 section 2.3.4. */
#define LIMIT_HOST 255
/* Paths, as PATH_MAX. */
#define LIMIT_PATH 4096
/* One component of a path, as NAME_MAX, less what a temporary name adds. */
#define LIMIT_FILE_NAME 240
/* An API URL's path ("/api"), bytes. */
#define LIMIT_URL_PATH 1024
/* User names as Tower is told them. */
#define LIMIT_USER 256
/* Any text that a peer adds to a report. */
#define LIMIT_DETAIL 512
/* Supplementary groups of run_as: NGROUPS_MAX. */
#define LIMIT_GROUPS 65536
/* Environment of commands: a few times ARG_MAX's usual quarter of the stack. */
#define LIMIT_ENVIRONMENT 8388608
/* CA bundle in PEM: the system's has 0.2 MB. */
#define LIMIT_CA_BUNDLE 4194304
/* Public-key pins. */
#define LIMIT_PINS      8
#define LIMIT_PIN_BYTES 32
/* Sessions alive at a time: probe, login, agent, trial. */
#define LIMIT_SESSIONS 4
/* --max-commands at most: their pipes and memfds stay below 256 descriptors in flight (unix(7),
 * ETOOMANYREFS). */
#define LIMIT_COMMANDS 64
/* Commands that wait: by count and by bytes of text. */
#define LIMIT_QUEUE_COUNT 10000
#define LIMIT_QUEUE_BYTES 67108864
/* Secret page: request prefix, token, suffix. */
#define LIMIT_SECRET_PAGE 16384

#endif
