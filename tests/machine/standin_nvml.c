/* A stand-in for NVIDIA's libnvidia-ml.so.1: it answers for machines by name, so that the real binding is what is
 * tested. STANDIN_MACHINE names the machine; STANDIN_PID is the process that holds memory as a neighbour;
 * -DOLD_DRIVER leaves out the functions that drivers before 510 lack. Layouts and numbers as in nvml.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef int nvmlReturn_t;
enum { SUCCESS = 0, UNINITIALIZED = 1, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, NO_PERMISSION = 4, NOT_FOUND = 6,
       INSUFFICIENT_SIZE = 7, DRIVER_NOT_LOADED = 9, GPU_IS_LOST = 15, LIB_RM_VERSION_MISMATCH = 18 };
#define MIB (1024ULL * 1024ULL)
#define NOT_AVAILABLE 0xFFFFFFFFFFFFFFFFULL

struct memory { unsigned long long total, free, used; };
struct memory_v2 { unsigned version; unsigned long long total, reserved, free, used; };
struct process { unsigned pid; unsigned long long bytes; unsigned instance, compute; };
struct utilization { unsigned gpu, memory; };
struct pci { char legacy[16]; unsigned domain, bus, device, id, subsystem; char bus_id[32]; };
struct attributes { unsigned sm, copy, decoder, encoder, jpeg, ofa, gpu_slices, compute_slices; unsigned long long memory_mb; };

struct device {
    const char *name, *uuid, *bus_id;
    int major, minor;
    unsigned long long total_mib, reserved_mib, used_mib;      /* total 0: memory is not supported */
    unsigned busy, temperature, power_mw, power_limit_mw, clock, clock_max, memory_clock, bus_width, reasons;
    int neighbour;                                             /* STANDIN_PID holds used_mib */
    int hidden_process;                                        /* memory is held by a process of an id nobody knows */
    int mig, slices, lost_after, refused, links_to_switch, links_to_peer, virtualization;
    struct device *slice[4];
    struct device *whole;
    long asked;
};

static struct device *cards[8];
static unsigned card_count;
static int started, broken;
static const char *machine;

static struct device t4 = { "Tesla T4", "GPU-74000000-0000-0000-0000-000000000001", "00000000:00:04.0", 7, 5,
    15360, 270, 270, 0, 41, 9600, 70000, 300, 1590, 5001, 256, 1 };
static struct device rtx[2] = {
    { "NVIDIA GeForce RTX 3090", "GPU-30900000-aaaa-0000-0000-000000000001", "00000000:21:00.0", 8, 6,
      24576, 317, 18317, 97, 78, 344000, 350000, 1695, 2100, 9751, 384, 0x4 | 0x20, 1, .links_to_peer = 4 },
    { "NVIDIA GeForce RTX 3090", "GPU-30900000-bbbb-0000-0000-000000000002", "00000000:4B:00.0", 8, 6,
      24576, 317, 318, 0, 36, 21000, 350000, 210, 2100, 9751, 384, 1, .links_to_peer = 4 } };
static struct device slice_a = { "NVIDIA A100-SXM4-80GB MIG 3g.40gb", "MIG-a1000000-0000-0000-0000-00000000000a", "",
    8, 0, 40192, 37, 20037, .neighbour = 1 };
static struct device slice_b = { "NVIDIA A100-SXM4-80GB MIG 1g.10gb", "MIG-a1000000-0000-0000-0000-00000000000b", "",
    8, 0, 9728, 12, 12 };
static struct device a100 = { "NVIDIA A100-SXM4-80GB", "GPU-a1000000-0000-0000-0000-000000000001", "00000000:07:00.0",
    8, 0, 81920, 605, 20000, 0, 33, 92000, 400000, 1095, 1410, 1593, 5120, 0, .mig = 1, .slices = 2 };
static struct device h100[8];
static char h100_uuid[8][64], h100_bus[8][32];
static struct device gh200 = { "NVIDIA GH200 480GB", "GPU-47200000-0000-0000-0000-000000000001", "00000009:01:00.0",
    9, 0, 0, 0, 0, 3, 30, 110000, 900000, 345, 1980, 2619, 6144, 1 };
static struct device old = { "Tesla V100-SXM2-16GB", "GPU-01d00000-0000-0000-0000-000000000001", "00000000:00:1E.0",
    7, 0, 16160, 0, 4000, 0, 35, 40000, 300000, 135, 1530, 877, 4096, 1 };
static struct device lost[2] = {
    { "NVIDIA L4", "GPU-14000000-0000-0000-0000-000000000001", "00000000:31:00.0", 8, 9,
      23034, 500, 500, 0, 40, 16000, 72000, 210, 2040, 6251, 192, 1 },
    { "NVIDIA L4", "GPU-14000000-0000-0000-0000-000000000002", "00000000:32:00.0", 8, 9,
      23034, 500, 500, 0, 40, 16000, 72000, 210, 2040, 6251, 192, 1, .lost_after = 2 } };
static struct device vgpu = { "GRID A10-12Q", "GPU-a1012000-0000-0000-0000-000000000001", "00000000:02:00.0", 8, 6,
    12288, 900, 6900, 5, 0, 0, 0, 0, 0, 0, 0, 0, .hidden_process = 1, .virtualization = 2 };

static void add(struct device *device) { cards[card_count++] = device; }

static nvmlReturn_t start(void) {
    machine = getenv("STANDIN_MACHINE");
    if (!machine) machine = "";
    card_count = 0;
    if (!strcmp(machine, "hang-open")) for (;;) sleep(60);
    if (!strcmp(machine, "not-loaded")) return DRIVER_NOT_LOADED;
    if (!strcmp(machine, "mismatch")) return LIB_RM_VERSION_MISMATCH;
    if (!strcmp(machine, "no-permission")) return NO_PERMISSION;
    if (!strcmp(machine, "unknown-error")) return 999;
    broken = 0;
    if (!strcmp(machine, "restless")) add(&rtx[0]);
    else if (!strcmp(machine, "t4") || !strcmp(machine, "restarted") || !strcmp(machine, "no-memory-figures") || !strcmp(machine, "hang-later")) add(&t4);
    else if (!strcmp(machine, "2x3090")) { add(&rtx[0]); add(&rtx[1]); }
    else if (!strcmp(machine, "a100-mig") || !strcmp(machine, "a100-mig-empty")) {
        a100.slice[1] = &slice_a; a100.slice[3] = &slice_b;    /* places need not be filled in order */
        slice_a.whole = slice_b.whole = &a100;
        if (!strcmp(machine, "a100-mig-empty")) a100.slices = 0;
        add(&a100);
    } else if (!strcmp(machine, "8xh100") || !strcmp(machine, "8xh100-restless")) {
        for (int i = 0; i < 8; i++) {
            h100[i] = (struct device){ "NVIDIA H100 80GB HBM3", h100_uuid[i], h100_bus[i], 9, 0, 81559, 551, 551, 0, 28,
                70000, 700000, 345, 1980, 2619, 5120, 1, .links_to_switch = 18 };
            snprintf(h100_uuid[i], 64, "GPU-41000000-0000-0000-0000-00000000000%d", i);
            snprintf(h100_bus[i], 32, "00000000:%02X:00.0", 0x1b + i);
            add(&h100[i]);
        }
    } else if (!strcmp(machine, "gh200")) add(&gh200);
    else if (!strcmp(machine, "old-driver")) add(&old);
    else if (!strcmp(machine, "lost-card")) { add(&lost[0]); add(&lost[1]); }
    else if (!strcmp(machine, "refused-card")) { lost[0].refused = 1; add(&lost[0]); lost[1].lost_after = 0; add(&lost[1]); }
    else if (!strcmp(machine, "vgpu")) add(&vgpu);
    else if (strcmp(machine, "no-cards")) return DRIVER_NOT_LOADED;
    started = 1;
    return SUCCESS;
}

/* Every query of a device passes here: it may be lost by now, or hang. A memory query counts as one sample. */
static nvmlReturn_t reach(struct device *device, int counts) {
    if (!started || broken) return UNINITIALIZED;
    if (!device) return INVALID_ARGUMENT;
    device->asked += counts;
    if (strstr(machine, "restless") && counts) {              /* a training beside us: its figures move at every sample */
        device->busy = 60 + device->asked * 17 % 40; device->temperature = 70 + device->asked % 9;
        device->power_mw = 250000 + device->asked * 7919 % 90000; device->clock = 1500 + device->asked * 31 % 400;
        device->used_mib = 15000 + device->asked / 5 * 2;
    }
    if (!strcmp(machine, "restarted") && counts && device->asked == 2) { broken = 1; return UNINITIALIZED; }
    if (!strcmp(machine, "no-memory-figures") && counts) return 999;
    if (device->lost_after && device->asked > device->lost_after) return GPU_IS_LOST;
    if (!strcmp(machine, "hang-later") && device->asked > 1) for (;;) sleep(60);
    return SUCCESS;
}
#define REACH(device) do { nvmlReturn_t code = reach(device, 0); if (code) return code; } while (0)
#define NEEDS(value) do { if (!(value)) return NOT_SUPPORTED; } while (0)

nvmlReturn_t nvmlInitWithFlags(unsigned flags) { (void)flags; return start(); }
nvmlReturn_t nvmlInit_v2(void) { return start(); }
nvmlReturn_t nvmlShutdown(void) { started = 0; return SUCCESS; }
const char *nvmlErrorString(nvmlReturn_t code) { return code == 999 ? "Unknown Error" : "An error of the stand-in"; }
nvmlReturn_t nvmlSystemGetDriverVersion(char *text, unsigned size) {
    snprintf(text, size, "%s", !strcmp(machine, "old-driver") ? "418.226.00" : "580.95.05");
    return SUCCESS;
}
nvmlReturn_t nvmlSystemGetCudaDriverVersion(int *version) { *version = !strcmp(machine, "old-driver") ? 10010 : 13000; return SUCCESS; }
nvmlReturn_t nvmlDeviceGetCount_v2(unsigned *count) { *count = card_count; return SUCCESS; }
nvmlReturn_t nvmlDeviceGetHandleByIndex_v2(unsigned index, struct device **device) {
    if (index >= card_count) return INVALID_ARGUMENT;
    if (cards[index]->refused) return NO_PERMISSION;
    *device = cards[index];
    return SUCCESS;
}
nvmlReturn_t nvmlDeviceGetName(struct device *d, char *text, unsigned size) { REACH(d); snprintf(text, size, "%s", d->name); return SUCCESS; }
nvmlReturn_t nvmlDeviceGetUUID(struct device *d, char *text, unsigned size) { REACH(d); snprintf(text, size, "%s", d->uuid); return SUCCESS; }
nvmlReturn_t nvmlDeviceGetCudaComputeCapability(struct device *d, int *major, int *minor) {
    REACH(d); if (d->whole) return NOT_SUPPORTED;
    *major = d->major; *minor = d->minor; return SUCCESS;
}
nvmlReturn_t nvmlDeviceGetPciInfo_v3(struct device *d, struct pci *pci) {
    REACH(d); memset(pci, 0, sizeof *pci); snprintf(pci->bus_id, 32, "%s", d->bus_id); return SUCCESS;
}
nvmlReturn_t nvmlDeviceGetMemoryInfo(struct device *d, struct memory *memory) {
    nvmlReturn_t code = reach(d, 1); if (code) return code;
    NEEDS(d->total_mib);
    memory->total = d->total_mib * MIB; memory->used = d->used_mib * MIB; memory->free = memory->total - memory->used;
    return SUCCESS;
}
nvmlReturn_t nvmlDeviceGetTemperature(struct device *d, int sensor, unsigned *value) { (void)sensor; REACH(d); NEEDS(d->temperature && !d->whole); *value = d->temperature; return SUCCESS; }
nvmlReturn_t nvmlDeviceGetPowerUsage(struct device *d, unsigned *value) { REACH(d); NEEDS(d->power_mw && !d->whole); *value = d->power_mw; return SUCCESS; }
nvmlReturn_t nvmlDeviceGetEnforcedPowerLimit(struct device *d, unsigned *value) { REACH(d); NEEDS(d->power_limit_mw); *value = d->power_limit_mw; return SUCCESS; }
nvmlReturn_t nvmlDeviceGetClockInfo(struct device *d, int kind, unsigned *value) { REACH(d); NEEDS(d->clock); *value = kind == 2 ? d->memory_clock : d->clock; return SUCCESS; }
nvmlReturn_t nvmlDeviceGetMaxClockInfo(struct device *d, int kind, unsigned *value) { REACH(d); NEEDS(d->clock_max && !d->whole); *value = kind == 2 ? d->memory_clock : d->clock_max; return SUCCESS; }
nvmlReturn_t nvmlDeviceGetUtilizationRates(struct device *d, struct utilization *value) { REACH(d); if (d->whole) return NOT_SUPPORTED; value->gpu = d->busy; value->memory = d->busy / 2; return SUCCESS; }
nvmlReturn_t nvmlDeviceGetCurrentClocksThrottleReasons(struct device *d, unsigned long long *value) { REACH(d); *value = d->reasons; return SUCCESS; }

#ifndef OLD_DRIVER
nvmlReturn_t nvmlSystemGetCudaDriverVersion_v2(int *version) { return nvmlSystemGetCudaDriverVersion(version); }
nvmlReturn_t nvmlDeviceGetMemoryInfo_v2(struct device *d, struct memory_v2 *memory) {
    nvmlReturn_t code = reach(d, 1); if (code) return code;
    NEEDS(d->total_mib);
    memory->total = d->total_mib * MIB; memory->reserved = d->reserved_mib * MIB;
    memory->free = (d->total_mib - d->used_mib) * MIB; memory->used = (d->used_mib - d->reserved_mib) * MIB;
    return SUCCESS;
}
nvmlReturn_t nvmlDeviceGetMemoryBusWidth(struct device *d, unsigned *value) { REACH(d); NEEDS(d->bus_width); *value = d->bus_width; return SUCCESS; }
nvmlReturn_t nvmlDeviceGetCurrentClocksEventReasons(struct device *d, unsigned long long *value) { return nvmlDeviceGetCurrentClocksThrottleReasons(d, value); }
nvmlReturn_t nvmlDeviceGetVirtualizationMode(struct device *d, unsigned long long *mode) { REACH(d); *mode = d->virtualization; return SUCCESS; }
nvmlReturn_t nvmlDeviceGetComputeRunningProcesses_v3(struct device *d, unsigned *count, struct process *rows) {
    REACH(d);
    unsigned pid = d->neighbour && getenv("STANDIN_PID") ? (unsigned)atoi(getenv("STANDIN_PID")) : d->hidden_process ? 4194000 : 0;
    if (!pid) { *count = 0; return SUCCESS; }
    if (!rows || *count < 1) { *count = 1; return INSUFFICIENT_SIZE; }
    *count = 1;
    rows[0] = (struct process){ pid, d->hidden_process ? NOT_AVAILABLE : (d->used_mib - d->reserved_mib) * MIB, 0xFFFFFFFF, 0xFFFFFFFF };
    return SUCCESS;
}
nvmlReturn_t nvmlDeviceGetMigMode(struct device *d, unsigned *current, unsigned *pending) { REACH(d); NEEDS(d->major >= 8 && d->minor == 0); *current = *pending = d->mig; return SUCCESS; }
nvmlReturn_t nvmlDeviceGetMaxMigDeviceCount(struct device *d, unsigned *count) { REACH(d); *count = d->mig ? 4 : 0; return SUCCESS; }
nvmlReturn_t nvmlDeviceGetMigDeviceHandleByIndex(struct device *d, unsigned index, struct device **slice) {
    REACH(d); if (!d->slices || index >= 4 || !d->slice[index]) return NOT_FOUND;
    *slice = d->slice[index]; return SUCCESS;
}
nvmlReturn_t nvmlDeviceGetNvLinkState(struct device *d, unsigned link, unsigned *active) {
    REACH(d); NEEDS((int)link < d->links_to_switch + d->links_to_peer); *active = 1; return SUCCESS;
}
nvmlReturn_t nvmlDeviceGetNvLinkRemoteDeviceType(struct device *d, unsigned link, unsigned *kind) { (void)link; REACH(d); *kind = d->links_to_switch ? 2 : 0; return SUCCESS; }
nvmlReturn_t nvmlDeviceGetNvLinkRemotePciInfo_v2(struct device *d, unsigned link, struct pci *pci) {
    (void)link; REACH(d); return nvmlDeviceGetPciInfo_v3(d == cards[0] ? cards[1] : cards[0], pci);
}
nvmlReturn_t nvmlDeviceGetTopologyCommonAncestor(struct device *a, struct device *b, unsigned *level) { REACH(a); REACH(b); *level = 50; return SUCCESS; }
nvmlReturn_t nvmlDeviceGetCurrPcieLinkGeneration(struct device *d, unsigned *value) { REACH(d); NEEDS(!d->virtualization); *value = 4; return SUCCESS; }
nvmlReturn_t nvmlDeviceGetCurrPcieLinkWidth(struct device *d, unsigned *value) { REACH(d); NEEDS(!d->virtualization); *value = 16; return SUCCESS; }
#endif
