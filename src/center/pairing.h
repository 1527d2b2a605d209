/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which DPU sits in which server. A server names its card (PhysicalNic.dpuId, DpuStatusInfo.dpuId);
 * a card says which it is and in which server (HostSystemInfo.otherIdentifyingInfo with the keys
 * RemoraDpuId and RemoraServerUuid). Two hosts of one card are linked: each shows the other's name
 * as a custom value, "Remora.Dpu" on the server and "Remora.Server" on the DPU, and an event tells
 * of it. The link stays while a host is away; it ends when the card is seen elsewhere or the server
 * says that it is gone. Event-loop thread only.
 */
#pragma once

struct hosts;
struct member;

/* What the host says of itself may have changed. */
void pairing_look(struct member *m);
/* The host is being removed from the manager: what it was linked with is alone again. */
void pairing_leave(struct member *m);
/* The host that it is linked with, as shown last, also before it was heard of; NULL: none. */
struct member *pairing_other(const struct member *m);
/* Frees what is known of the host. */
void pairing_forget(struct member *m);
