/* A thick snapshot (dm-snapshot), read by the slots of its exceptions. How to run it: `check`.
 *
 * Two chunks lie on the origin when the image is frozen. Before the kernel overwrites one, it
 * copies it to the store and fills the next free slot; when the store is full it clears `valid`
 * in the header and overwrites what it likes. A reader knows the exceptions of a state. What is
 * not among them lies on the origin: that is proven by a look, after the data were read, in which
 * the next free slot is still zero and the header valid. Else the storage is asked: it reads the
 * slots, in order, to the first that is zero.
 *
 * -DNAME drops a part: see `check`.
 */
#ifndef SLOTS
#define SLOTS 2
#endif
#ifndef READS
#define READS 3
#endif
#define NONE 3

byte slot[SLOTS + 1] = NONE;    /* the chunk that an exception tells of; the last is never filled */
byte used = 0;                  /* exceptions that were written */
bool valid = true;
bool onOrigin[2] = true;        /* whether the origin still has the frozen bytes of a chunk */
bool inStore[SLOTS];            /* whether a chunk of the store has the bytes of its exception */

#define IS_COPIED(c) (slot[0] == (c) || (SLOTS > 1 && slot[1] == (c)))

/* The kernel: copy, exception, then the write to the origin. */
active [2] proctype Writer() {
  byte own = _pid;              /* each writes a chunk of its own: 0 and 1 */
  byte place;
  if
  :: atomic { valid && used < SLOTS -> place = used; used++ }
#ifndef NO_SLOT_FIRST
     inStore[place] = true;
     /* Exceptions are written in their order. */
     atomic { (place == 0 || slot[place - 1] != NONE) -> slot[place] = own }
     onOrigin[own] = false
#else
     onOrigin[own] = false;
     inStore[place] = true;
     atomic { (place == 0 || slot[place - 1] != NONE) -> slot[place] = own }
#endif
  :: atomic { used == SLOTS || !valid -> skip }
#ifdef NO_VALID_FIRST
     onOrigin[own] = false;
     valid = false
#else
     valid = false;
     onOrigin[own] = false
#endif
  fi
}

proctype Reader(byte chunk) {
  byte known = 0;               /* exceptions of the state that is known */
  byte place = NONE;            /* where the store has the chunk; NONE: on the origin */
  byte count = 0, next;
  bool isGood, isFree, isValid;
  do
  :: count < READS ->
     count++;
#ifdef LOOK_BEFORE
     isFree = (slot[known] == NONE);
     isValid = valid;
#endif
     if
     :: place == NONE -> isGood = onOrigin[chunk]
     :: else -> isGood = inStore[place]
     fi;
#ifndef LOOK_BEFORE
#ifdef NO_SLOT
     isFree = true;
#else
     isFree = (slot[known] == NONE);
#endif
#ifdef NO_HEADER
     isValid = true;
#else
     isValid = valid;
#endif
#endif
     if
     :: isValid && isFree -> assert(isGood)
     :: !isValid -> break               /* thawed: every later read fails */
     :: isValid && !isFree ->
        /* The storage answers: slot by slot, to the first that is free, which is the state. */
        next = known;
        do
        :: slot[next] != NONE ->
           if
           :: slot[next] == chunk -> place = next
           :: else
           fi;
           next++
        :: slot[next] == NONE -> break
        od;
        known = next; next = 0
     fi;
     isGood = false; isFree = false; isValid = false
  :: count == READS -> break
  od
}

init { atomic { run Reader(0); run Reader(1) } }
