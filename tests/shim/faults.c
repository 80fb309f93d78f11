/*
 * A PKCS#11 module that forwards every call to another one, counts it, and fails it on demand.
 *
 *   SIGILLO_SHIM_MODULE    the module behind it, such as libsofthsm2.so
 *   SIGILLO_SHIM_CONTROL   a file of 4096 bytes, of which the words below are read and written while it runs; without it
 *                          nothing ever fails
 *   SIGILLO_SHIM_DELAY_US  microseconds that every call is slower, as on the way to a token in the network
 *
 * The control file, in 64-bit words of this machine:
 *
 *   8 + 8 * i  four faults, each of eight words:
 *     0  a number that is not zero and differs from the last one while this fault is in force; written last
 *     1  which function: its place in CK_FUNCTION_LIST, 255 for every one
 *     2  the first occurrence that is struck, from 1, counted from when the fault came into force
 *     3  how many occurrences are struck, 0 for all
 *     4  what happens, see `enum action`
 *     5  a CKR_ value or microseconds
 *     6  written here: how often it struck
 *     7  1: after the first strike only calls about the same object are struck, and all of them
 *   64 + n     calls of the function at place n, written here
 *
 * It needs no header of PKCS#11: the layout of its one structure is fixed (PKCS#11 v2.40, 3.6), and so are the calls.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

typedef unsigned long U;
typedef unsigned char B;
typedef void *P;
typedef U *N; /* a length or a number that the module writes */
typedef struct { U type; P value; U length; } Attribute;

enum { OK = 0, GENERAL_ERROR = 5, FUNCTION_NOT_SUPPORTED = 0x54 };
enum { EVERY = 255, FAULTS = 4, WORDS = 512, FIRST_FAULT = 8, FIRST_COUNT = 64 };
enum { ARMED, FUNCTION, FIRST, TIMES, ACTION, ARGUMENT, STRUCK, STICKY };
enum action {
    ANSWER = 1, /* the value, and nothing is done */
    DONE,       /* the value, after it was done */
    DELAY,      /* done, later */
    HANG,       /* done, when the fault is no longer in force */
    CUT,        /* done, with half of every output */
    FORGET,     /* done, after all sessions of the token were closed */
    LOSE        /* no slot has a token, and what needs one answers the value */
};

/*
 * Every function in the order of CK_FUNCTION_LIST: name, parameters, arguments, the output that can be cut with its
 * length, and the object that the call is about.
 */
#define FUNCTIONS(F) \
    F(C_Initialize, (P a), (a), 0, 0, 0) \
    F(C_Finalize, (P a), (a), 0, 0, 0) \
    F(C_GetInfo, (P a), (a), 0, 0, 0) \
    F(C_GetFunctionList, (P a), (a), 0, 0, 0) \
    F(C_GetSlotList, (B t, P l, N n), (t, l, n), l, n, 0) \
    F(C_GetSlotInfo, (U s, P i), (s, i), 0, 0, 0) \
    F(C_GetTokenInfo, (U s, P i), (s, i), 0, 0, 0) \
    F(C_GetMechanismList, (U s, P l, N n), (s, l, n), l, n, 0) \
    F(C_GetMechanismInfo, (U s, U t, P i), (s, t, i), 0, 0, 0) \
    F(C_InitToken, (U s, P p, U n, P l), (s, p, n, l), 0, 0, 0) \
    F(C_InitPIN, (U s, P p, U n), (s, p, n), 0, 0, 0) \
    F(C_SetPIN, (U s, P o, U on, P w, U wn), (s, o, on, w, wn), 0, 0, 0) \
    F(C_OpenSession, (U s, U f, P a, P c, N h), (s, f, a, c, h), 0, 0, (last_slot = s, 0)) \
    F(C_CloseSession, (U s), (s), 0, 0, 0) \
    F(C_CloseAllSessions, (U s), (s), 0, 0, 0) \
    F(C_GetSessionInfo, (U s, P i), (s, i), 0, 0, 0) \
    F(C_GetOperationState, (U s, P o, N n), (s, o, n), o, n, 0) \
    F(C_SetOperationState, (U s, P o, U n, U e, U a), (s, o, n, e, a), 0, 0, 0) \
    F(C_Login, (U s, U t, P p, U n), (s, t, p, n), 0, 0, 0) \
    F(C_Logout, (U s), (s), 0, 0, 0) \
    F(C_CreateObject, (U s, P t, U n, N o), (s, t, n, o), 0, 0, 0) \
    F(C_CopyObject, (U s, U o, P t, U n, N c), (s, o, t, n, c), 0, 0, o) \
    F(C_DestroyObject, (U s, U o), (s, o), 0, 0, o) \
    F(C_GetObjectSize, (U s, U o, N n), (s, o, n), 0, 0, o) \
    F(C_GetAttributeValue, (U s, U o, P t, U n), (s, o, t, n), 0, 0, (cut_list(rv_cut, t, n), o)) \
    F(C_SetAttributeValue, (U s, U o, P t, U n), (s, o, t, n), 0, 0, o) \
    F(C_FindObjectsInit, (U s, P t, U n), (s, t, n), 0, 0, 0) \
    F(C_FindObjects, (U s, P o, U m, N n), (s, o, m, n), o, n, 0) \
    F(C_FindObjectsFinal, (U s), (s), 0, 0, 0) \
    F(C_EncryptInit, (U s, P m, U k), (s, m, k), 0, 0, k) \
    F(C_Encrypt, (U s, P i, U in, P o, N n), (s, i, in, o, n), o, n, 0) \
    F(C_EncryptUpdate, (U s, P i, U in, P o, N n), (s, i, in, o, n), o, n, 0) \
    F(C_EncryptFinal, (U s, P o, N n), (s, o, n), o, n, 0) \
    F(C_DecryptInit, (U s, P m, U k), (s, m, k), 0, 0, k) \
    F(C_Decrypt, (U s, P i, U in, P o, N n), (s, i, in, o, n), o, n, 0) \
    F(C_DecryptUpdate, (U s, P i, U in, P o, N n), (s, i, in, o, n), o, n, 0) \
    F(C_DecryptFinal, (U s, P o, N n), (s, o, n), o, n, 0) \
    F(C_DigestInit, (U s, P m), (s, m), 0, 0, 0) \
    F(C_Digest, (U s, P i, U in, P o, N n), (s, i, in, o, n), o, n, 0) \
    F(C_DigestUpdate, (U s, P i, U in), (s, i, in), 0, 0, 0) \
    F(C_DigestKey, (U s, U k), (s, k), 0, 0, k) \
    F(C_DigestFinal, (U s, P o, N n), (s, o, n), o, n, 0) \
    F(C_SignInit, (U s, P m, U k), (s, m, k), 0, 0, k) \
    F(C_Sign, (U s, P i, U in, P o, N n), (s, i, in, o, n), o, n, 0) \
    F(C_SignUpdate, (U s, P i, U in), (s, i, in), 0, 0, 0) \
    F(C_SignFinal, (U s, P o, N n), (s, o, n), o, n, 0) \
    F(C_SignRecoverInit, (U s, P m, U k), (s, m, k), 0, 0, k) \
    F(C_SignRecover, (U s, P i, U in, P o, N n), (s, i, in, o, n), o, n, 0) \
    F(C_VerifyInit, (U s, P m, U k), (s, m, k), 0, 0, k) \
    F(C_Verify, (U s, P i, U in, P g, U n), (s, i, in, g, n), 0, 0, 0) \
    F(C_VerifyUpdate, (U s, P i, U in), (s, i, in), 0, 0, 0) \
    F(C_VerifyFinal, (U s, P g, U n), (s, g, n), 0, 0, 0) \
    F(C_VerifyRecoverInit, (U s, P m, U k), (s, m, k), 0, 0, k) \
    F(C_VerifyRecover, (U s, P g, U gn, P o, N n), (s, g, gn, o, n), o, n, 0) \
    F(C_DigestEncryptUpdate, (U s, P i, U in, P o, N n), (s, i, in, o, n), o, n, 0) \
    F(C_DecryptDigestUpdate, (U s, P i, U in, P o, N n), (s, i, in, o, n), o, n, 0) \
    F(C_SignEncryptUpdate, (U s, P i, U in, P o, N n), (s, i, in, o, n), o, n, 0) \
    F(C_DecryptVerifyUpdate, (U s, P i, U in, P o, N n), (s, i, in, o, n), o, n, 0) \
    F(C_GenerateKey, (U s, P m, P t, U n, N k), (s, m, t, n, k), 0, 0, 0) \
    F(C_GenerateKeyPair, (U s, P m, P a, U an, P b, U bn, N x, N y), (s, m, a, an, b, bn, x, y), 0, 0, 0) \
    F(C_WrapKey, (U s, P m, U w, U k, P o, N n), (s, m, w, k, o, n), o, n, k) \
    F(C_UnwrapKey, (U s, P m, U u, P w, U wn, P t, U n, N k), (s, m, u, w, wn, t, n, k), 0, 0, u) \
    F(C_DeriveKey, (U s, P m, U b, P t, U n, N k), (s, m, b, t, n, k), 0, 0, b) \
    F(C_SeedRandom, (U s, P b, U n), (s, b, n), 0, 0, 0) \
    F(C_GenerateRandom, (U s, P b, U n), (s, b, n), 0, 0, 0) \
    F(C_GetFunctionStatus, (U s), (s), 0, 0, 0) \
    F(C_CancelFunction, (U s), (s), 0, 0, 0) \
    F(C_WaitForSlotEvent, (U f, N s, P r), (f, s, r), 0, 0, 0)

#define PLACE(name, parameters, arguments, out, length, object) AT_##name,
enum { FUNCTIONS(PLACE) HOW_MANY };

typedef struct { B major, minor; } Version;
#define FIELD(name, parameters, arguments, out, length, object) U(*name) parameters;
typedef struct { Version version; FUNCTIONS(FIELD) } List;

static List *behind, ours;
static volatile uint64_t *words;
static U delay_us, last_slot;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* What this process knows of each fault: which one it is, occurrences seen, and the object of the first strike. */
static struct { uint64_t armed, seen, object; int struck; } known[FAULTS];

/* What a call is told. */
typedef struct { int action, fault; U value; uint64_t armed; } Told;

static void nap(U us) {
    struct timespec time = {(time_t)(us / 1000000), (long)(us % 1000000) * 1000};
    nanosleep(&time, NULL);
}

static Told strike(U place, U object) {
    Told told = {0, 0, 0, 0};
    if (!words) return told;
    pthread_mutex_lock(&lock);
    words[FIRST_COUNT + place]++;
    for (int i = 0; i < FAULTS && !told.action; i++) {
        volatile uint64_t *fault = words + FIRST_FAULT + 8 * i;
        uint64_t armed = fault[ARMED];
        __sync_synchronize();
        if (!armed || (fault[FUNCTION] != EVERY && fault[FUNCTION] != place)) continue;
        if (known[i].armed != armed) {
            known[i].armed = armed;
            known[i].seen = known[i].struck = 0;
        }
        uint64_t nth = ++known[i].seen, first = fault[FIRST], times = fault[TIMES];
        int hit = nth >= first && (!times || nth - first < times);
        if (fault[STICKY] && known[i].struck) hit = object == known[i].object;
        if (!hit) continue;
        if (!known[i].struck) known[i].object = object;
        known[i].struck = 1;
        fault[STRUCK]++;
        told = (Told){(int)fault[ACTION], i, (U)fault[ARGUMENT], armed};
    }
    pthread_mutex_unlock(&lock);
    return told;
}

/* Whether the call goes on to the module; if not, `*rv` is its answer. */
static int before(U place, Told told, N shown, U *rv) {
    if (delay_us) nap(delay_us);
    switch (told.action) {
    case ANSWER:
        *rv = told.value;
        return 0;
    case DELAY:
        nap(told.value);
        return 1;
    case HANG:
        while (words[FIRST_FAULT + 8 * told.fault + ARMED] == told.armed) nap(1000);
        return 1;
    case FORGET:
        behind->C_CloseAllSessions(last_slot);
        return 1;
    case LOSE:
        if (place == AT_C_Initialize || place == AT_C_Finalize || place == AT_C_GetInfo) return 1;
        if (place == AT_C_GetSlotList) *shown = 0;
        *rv = place == AT_C_GetSlotList ? OK : told.value;
        return 0;
    default:
        return 1;
    }
}

static void cut_list(int cut, Attribute *list, U n) {
    for (U i = 0; cut && i < n; i++)
        if (list[i].value && list[i].length != (U)-1) list[i].length /= 2;
}

/*
 * The object's expression is evaluated twice: before the call, and after one whose outputs are cut, where that of
 * C_GetAttributeValue cuts them.
 */
#define WRAP(name, parameters, arguments, out, length, object) \
    static U our_##name parameters { \
        int rv_cut = 0; \
        U rv = FUNCTION_NOT_SUPPORTED; \
        (void)rv_cut; \
        Told told = strike(AT_##name, (U)(object)); \
        if (!before(AT_##name, told, (N)(length), &rv)) return rv; \
        if (!behind->name) return rv; \
        rv = behind->name arguments; \
        if (told.action == DONE) return told.value; \
        if (told.action == CUT && rv == OK) { \
            N lengths = (N)(length); \
            rv_cut = 1; \
            (void)(object); \
            if ((P)(out) && lengths) *lengths /= 2; \
        } \
        return rv; \
    }
FUNCTIONS(WRAP)

static void load(void) {
    const char *module = getenv("SIGILLO_SHIM_MODULE"), *control = getenv("SIGILLO_SHIM_CONTROL");
    const char *delay = getenv("SIGILLO_SHIM_DELAY_US");
    P library = module ? dlopen(module, RTLD_NOW | RTLD_LOCAL) : NULL;
    U (*list)(List **) = NULL;
    if (library) *(P *)&list = dlsym(library, "C_GetFunctionList");
    if (!list || list(&behind) != OK) {
        fprintf(stderr, "SIGILLO_SHIM_MODULE=%s: %s\n", module ? module : "", module ? "no PKCS#11 module" : "not set");
        behind = NULL;
        return;
    }
    delay_us = delay ? strtoul(delay, NULL, 10) : 0;
    if (control) {
        int file = open(control, O_RDWR | O_CLOEXEC);
        P at = file < 0 ? MAP_FAILED : mmap(NULL, WORDS * 8, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        if (file >= 0) close(file);
        if (at == MAP_FAILED) {
            perror(control);
            behind = NULL;
            return;
        }
        words = at;
    }
    ours.version = behind->version;
#define SET(name, parameters, arguments, out, length, object) ours.name = our_##name;
    FUNCTIONS(SET)
}

__attribute__((visibility("default"))) U C_GetFunctionList(List **list) {
    pthread_once(&once, load);
    if (!behind) return GENERAL_ERROR;
    *list = &ours;
    return OK;
}
