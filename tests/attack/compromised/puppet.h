/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an attacker who has taken over a process of the agent makes it do: raw system calls, raw
 * packets on its channels, a search of its own memory. Linked into a copy of one program, with a
 * hook (ld's --wrap) behind what that program parses: an order comes by the way that an exploit
 * would, and is carried out after the sandbox, with the descriptors that are there.
 *
 * An order is a text that begins with "!ROLE "; several stand behind each other with semicolons.
 * Of each, one line on descriptor 2 tells the outcome: "puppet ROLE: WORD: ok N", or an errno.
 */
#ifndef TW_ATTACK_PUPPET_H
#define TW_ATTACK_PUPPET_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/span.h"

#define PUPPET_WORDS 16

struct puppet {
    const char *role;
    uint64_t ticket; /* of the command whose end brought the order: exec alone */
    int handover;    /* a socket to hand over in place of the connected one, or -1 */
    bool swallow;    /* what the program was about to send is not sent */
    long answers;    /* that came during this order's flood */
};

struct puppet_order {
    struct puppet *puppet;
    char *words[PUPPET_WORDS + 1];
    int n;
};

/* True when the text was an order; it has been carried out then. */
bool puppet_obey(struct puppet *p, struct span text);

/* Each carries an order out and gives what it got, or a negative errno. */
typedef long puppet_deed(struct puppet_order *o);

/* raw.c: system calls. */
puppet_deed raw_open, raw_create, raw_socket, raw_connect, raw_exec, raw_fork, raw_ptrace, raw_kill,
    raw_memory, raw_vm, raw_getfd, raw_code;

/* packets.c: raw packets, and descriptors of every kind with them. */
puppet_deed packet_raw, packet_ask, packet_flood, packet_shrink, packet_drain;

/* hunt.c: this process's own memory. */
puppet_deed hunt_find, hunt_plant;

/* The value of hexadecimal digits, in place; its length. */
size_t puppet_unhex(char *text);

/* This process's own descriptor of a kind: an Internet socket, a directory; -1. */
int puppet_own(bool (*is)(int fd));

/* Of a call that gives -1 with errno. */
long puppet_result(long rc);

#endif
