/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A session without a connection: computes digests for the attestation, then tries what a session
 * must not be able to do. It has no token and parsed nothing from outside.
 */
#ifndef TW_NET_SESSION_TRIAL_H
#define TW_NET_SESSION_TRIAL_H

#include "ipc/channel.h"

/* Handlers of core's channel; context: the session. Hostile for a session of another purpose. */
enum verdict trial_digest(void *context, const struct msg_digest *m, int *fd);
enum verdict trial_try(void *context, const struct msg_trial *m, int *fd);

#endif
