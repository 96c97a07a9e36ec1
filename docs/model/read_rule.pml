/* The read rule (Sources/ImageReader), with the storage and the production host
 * around it. How to run it, and what is left out: README.md beside this file.
 *
 * One portion of the frozen image lies in one of three places: 0 and 2 on medium 0,
 * 1 on medium 1. Each medium carries a witness, the number of the transaction that
 * was committed last. The storage moves the portion, commits, and overwrites what it
 * freed. What the backup host has open as medium 0 may turn out to be another device, until
 * it finds the medium again. The line between the hosts may be cut for a while, in which the storage
 * goes on. Readers of one backup host share what is known of the mapping, as the reads of a mount
 * share a `ReadRule`, and obey the rule for every read.
 *
 * An `atomic` or `d_step` of a reader is what the driver does under the rule's lock;
 * between two of them anything may happen elsewhere.
 *
 * -DNAME drops one part of the rule, or of what it assumes: see `check`.
 */

#ifndef READERS
#define READERS 2
#endif
#ifndef MOVES       /* how often the portion may be moved */
#define MOVES 2
#endif
#ifndef IDLE        /* commits that move nothing */
#define IDLE 1
#endif
#ifndef CRASHES     /* of the production host */
#define CRASHES 1
#endif
#ifndef LOSSES      /* replies that get lost */
#define LOSSES 1
#endif
#ifndef FALLS       /* whether medium 1 may fall out of the volume */
#define FALLS 1
#endif
#ifndef SWAPS       /* how often another device turns out to be in medium 0's place */
#define SWAPS 0
#endif

#ifndef QUICK       /* whether one more reads without the lock */
#define QUICK 0
#endif
#ifndef OUTAGES     /* how often the line to the production host is cut for a while */
#define OUTAGES 0
#endif
#if OUTAGES         /* one more asks in the background while nobody answers: never reads */
#define ASKERS (READERS + 1)
#else
#define ASKERS READERS
#endif

/* -DSTORAGE: the media themselves answer as well, on the backup host: a second answerer, that
 * takes a question or leaves it to the production host. */

#ifdef STORAGE                  /* what its two looks have to find */
#define SHOWN(w) (!isStranger && witness[0] == (w) && (fallen || witness[1] == (w)))
#else
#define SHOWN(w) false
#endif
#ifdef DIES_AT_REST             /* no crash falls between the two witnesses of a commit */
#define MAY_CRASH (fallen || witness[0] == witness[1])
#else
#define MAY_CRASH true
#endif

#define MEDIUM(p) ((p) & 1)
#define BIT(p) (1 << (p))
#define FIRST 1     /* the transaction at the freeze */
#define NONE 3

/* ---- the media ---- */
byte witness[2] = FIRST;
bool good[3];       /* whether a place holds the portion's bytes */

/* ---- the production host ---- */
bool up = true;
byte committed = FIRST;         /* the last transaction whose commit began */
byte place = 0;                 /* where the running transaction has the portion */
byte movedIn = 0;               /* the transaction that moved it there */
byte durablePlace = 0;          /* what a crash falls back to */
byte durableMovedIn = 0;
bool committing = false;        /* medium 0 has the new witness, medium 1 not yet */
byte pinned = 0;                /* places freed in the running transaction */
byte pinnedByCommit = 0;        /* places freed in the one that is being committed */
byte target = NONE;             /* where the mover is copying the portion to */
bool fallen = false;            /* medium 1 is not of the volume any more */
bool wantCommit = false;        /* the provider waits for a commit */
byte moves = MOVES, idle = IDLE, crashes = CRASHES, losses = LOSSES, falls = FALLS;

/* ---- a question on its way, and its answer ---- */
#define NOBODY_ASKS 0
#define ASKED 1
#define LOOKING 2
#define REPLIED 3
#define MAPPED 4                /* the storage was looked at once */
byte question = NOBODY_ASKS;
byte lookedAt;                  /* the witness that the provider saw before it looked */
byte asFound[2];                /* the witnesses that the question names */
bool asksForPlace;
bool failed, changed, hasMedium1;
byte answerID, answerPlace, answerInStep;

/* ---- what the readers share: ReadRule ---- */
byte known[2] = FIRST;          /* the known configuration ID; 0: not of the volume */
bool placeIsUnknown = false;
byte knownPlace = 0;
byte found[2] = FIRST;
bool matched = false;
bool medium1IsBehind = false;
bool hasAnswer = false;         /* whether the last question had one */
byte inStep = 0;                /* media that were in step then */
bool wanted = false;

/* Rounds: 2: needs one that is not begun, 1: served by the one that is under way,
 * 0: served. The same as ReadRule's tickets, without numbers that grow. */
bool checkIsUnderWay = false;
byte checkNeed[ASKERS];
byte answerNeed[ASKERS];
byte foundNeed = 0;             /* the check that the next question has to wait for */

#ifdef LIVENESS
bool isThrough = false;         /* reader 0 finished a read this moment */
#endif

/* ---- what this host has open as medium 0 ---- */
bool isStranger = false;        /* it is another device: no bytes of the image, no witness */
byte incarnation = 0;           /* counts how often it was opened again */
byte foundOn = 0;               /* the incarnation that `found` is of */
byte askedOn = 0;               /* the one that the question tells of */
byte inStepOn = 0;              /* the one that was in step */
byte swaps = SWAPS;

bool isUnderWay[ASKERS];
bool isOvertaken[ASKERS];

/* ---- the line between the hosts ---- */
bool isCut = false;
byte outages = OUTAGES;
bool isSilent = false;          /* the last question had no answer: reads may give up */
#ifdef LATE_ANSWER              /* what was looked up for a question that was given up */
bool isLate = false, lateChanged, lateHasMedium1;
byte lateID, latePlace, lateInStep;
#endif

#define IS_LOST(p) (MEDIUM(p) == 1 && (medium1IsBehind || known[1] == 0))
#define IS_INSTALLED(p, i) (MEDIUM(p) == 1 || (i) == incarnation)
#define BYTES(p) (good[p] && !(MEDIUM(p) == 0 && isStranger))
#define IS_FREE(p) ((p) != place && (p) != target && !((pinned | pinnedByCommit) & BIT(p)))

/* A round begins: it serves who waits for one. And it ends. */
#define BEGIN(need) \
  r = 0; \
  do \
  :: r < ASKERS -> if :: need[r] == 2 -> need[r] = 1 :: else fi; r++ \
  :: else -> break \
  od; \
  r = 0
#define FINISH(need) \
  r = 0; \
  do \
  :: r < ASKERS -> if :: need[r] == 1 -> need[r] = 0 :: else fi; r++ \
  :: else -> break \
  od; \
  r = 0

/* The volume: mover, commits, whoever overwrites freed space, crashes. */
active proctype Volume() {
  byte p;
  do
  /* The mover copies the bytes first, and points to them in a later step. */
  :: atomic { up && moves > 0 && target == NONE && !(fallen && MEDIUM(place) == 1) ->
       if
       :: IS_FREE(0) -> p = 0
       :: IS_FREE(1) && !fallen -> p = 1
       :: IS_FREE(2) -> p = 2
       :: else -> p = NONE
       fi;
       if
       :: p != NONE -> moves--; good[p] = true; target = p
       :: else
       fi;
       p = 0 }
  :: atomic { up && target != NONE && !(fallen && MEDIUM(target) == 1) ->
       pinned = pinned | BIT(place); place = target; target = NONE; movedIn = committed + 1 }
  :: atomic { target != NONE -> target = NONE }     /* the mover dies before that */

  /* A commit writes one medium's witness after the other. */
  :: atomic { up && !committing && (wantCommit || pinned != 0 || idle > 0) ->
       if
       :: wantCommit || pinned != 0
       :: else -> idle--
       fi;
       if
       :: falls > 0 -> falls--; fallen = true       /* medium 1 takes no more writes */
       :: true
       fi;
#ifdef UNORDERED_WITNESS
       pinned = 0;
#endif
       committed++; witness[0] = committed; committing = true; wantCommit = false;
       durablePlace = place; durableMovedIn = movedIn;
       pinnedByCommit = pinned; pinned = 0 }
  :: atomic { up && committing ->
       if
       :: !fallen -> witness[1] = committed
       :: else
       fi;
       committing = false; pinnedByCommit = 0 }

  /* Freed space is overwritten; so is a medium that was given to somebody else. */
  :: atomic { good[0] && IS_FREE(0) -> good[0] = false }
  :: atomic { good[1] && (IS_FREE(1) || fallen && !committing) -> good[1] = false }
  :: atomic { good[2] && IS_FREE(2) -> good[2] = false }
#ifdef UNORDERED_WITNESS        /* freed space is overwritten before the commit */
  :: atomic { pinned & 1 && place != 0 -> good[0] = false }
#endif

  /* What is not committed is lost in a crash; the newest witness wins. */
  :: atomic { up && crashes > 0 && MAY_CRASH ->
       crashes--; up = false; target = NONE; wantCommit = false; committing = false;
       place = durablePlace; movedIn = durableMovedIn; pinned = 0; pinnedByCommit = 0;
#ifdef ID_REUSED
       committed = 0
#else
       committed = witness[0]
#endif
     }
#ifndef HOST_STAYS_AWAY
  :: atomic { !up -> up = true }
#endif
  od
}

/* The device behind medium 0 on this host is another one, and nobody is told; a search
 * finds the right one, and the medium begins a new incarnation: ReadRule.beginIncarnation. */
active proctype Devices() {
  do
  :: atomic { swaps > 0 && !isStranger -> swaps--; isStranger = true }
  :: atomic { isStranger -> isStranger = false;
#ifndef NO_INCARNATIONS
       incarnation++; matched = false
#endif
     }
  od
}

/* The line is cut, and whole again. What is asked or answered meanwhile is lost. */
#if OUTAGES
active proctype Line() {
  do
  :: atomic { outages > 0 && !isCut -> outages--; isCut = true }
  :: atomic { isCut -> isCut = false }
  od
}
#endif

/* The provider on the production host: answers of one durable state. */
active proctype Provider() {
  do
  /* Where the storage tells, the production host is not waited for. */
  :: atomic { (question == ASKED && !SHOWN(witness[0]) || question == LOOKING) && !up ->
       failed = true; question = REPLIED }
  :: atomic { question == LOOKING && losses > 0 ->
       losses--; failed = true; question = REPLIED }
  /* Witnesses that differ are those of a commit under way, or of one that a crash
   * cut: the next commit brings them together. */
  :: atomic { question == ASKED && up && !fallen && witness[0] != witness[1] &&
              !committing && !wantCommit && !isCut -> wantCommit = true }
  :: atomic { question == ASKED && up && !wantCommit && !isCut &&
              (fallen || witness[0] == witness[1]) ->
#ifdef LATE_ANSWER
       if
       :: isLate ->
          isLate = false; failed = false;
          answerID = lateID; hasMedium1 = lateHasMedium1; answerPlace = latePlace;
          changed = lateChanged; answerInStep = lateInStep; question = REPLIED
       :: !isLate -> lookedAt = witness[0]; question = LOOKING
       fi }
#else
       lookedAt = witness[0]; question = LOOKING }
#endif
  /* Who asked gives up. What was looked up for it is thrown away when it comes. */
  :: atomic { question == ASKED && isCut -> failed = true; question = REPLIED }
  :: atomic { question == LOOKING && isCut ->
#ifdef LATE_ANSWER
       if
       :: movedIn <= lookedAt ->
          isLate = true; lateID = lookedAt; lateHasMedium1 = !fallen; latePlace = place;
          lateChanged = (movedIn > known[0]);
          lateInStep = (asFound[0] >= known[0]) | (!fallen && asFound[1] >= known[0] -> 2 : 0)
       :: else
       fi;
#endif
       failed = true; question = REPLIED }
  :: atomic { question == LOOKING && up && !isCut ->
       if
#ifndef UNCOMMITTED
       :: movedIn > lookedAt -> wantCommit = true; question = ASKED
#endif
       :: else ->
          failed = false;
          answerID = lookedAt; hasMedium1 = !fallen; answerPlace = place;
          changed = (movedIn > known[0]);
          answerInStep = (asFound[0] >= known[0]);
          if
          :: !fallen && asFound[1] >= known[0] -> answerInStep = answerInStep | 2
          :: else
          fi;
          question = REPLIED
       fi }
  od
}

/* The storage: what the media that this host has open tell, between two equal looks at the
 * witness. What it finds to be halfway, or another device, it leaves to the production host. A
 * medium that the readers share with it is never behind. */
#ifdef STORAGE
byte mappedPlace, mappedIn;
bool mappedMedium1;

active proctype Storage() {
  do
  :: atomic { question == ASKED && SHOWN(witness[0]) ->
       lookedAt = witness[0]; mappedPlace = durablePlace; mappedIn = durableMovedIn;
       mappedMedium1 = !fallen; question = MAPPED }
  :: atomic { question == MAPPED ->
       if
#ifdef ONE_LOOK                 /* what was mapped is told as of the state seen afterwards */
       :: SHOWN(witness[0]) ->
          lookedAt = witness[0];
#else
       :: SHOWN(lookedAt) ->
#endif
          failed = false;
          answerID = lookedAt; hasMedium1 = mappedMedium1; answerPlace = mappedPlace;
          changed = (mappedIn > known[0]);
          answerInStep = 1 | (mappedMedium1 -> 2 : 0); question = REPLIED
       :: else -> lookedAt = 0; question = ASKED
       fi;
       mappedPlace = 0; mappedIn = 0; mappedMedium1 = false }
  od
}
#endif

/* A reader, reading for ever: one round of the loop is one read. */
proctype Reader(byte me) {
  byte r, at, used, seen0, seen1, seenOn;
  bool isGood;

  /* ReadRule.plan */
plan:
  atomic {
    used = 0;
#if OUTAGES
    if
    :: me == READERS -> goto probe
    :: else
    fi;
#endif
    if
    :: placeIsUnknown -> wanted = true; isUnderWay[me] = false; answerNeed[me] = 2; goto ask
    :: !placeIsUnknown && IS_LOST(knownPlace) -> goto through
    :: else -> at = knownPlace; isUnderWay[me] = true; isOvertaken[me] = false
    fi
  }
#ifdef CHECK_BEFORE
  checkNeed[me] = 2;
  goto check;
fetch:
  isGood = BYTES(at);
  goto take;
#else
  /* The fetch: the bytes of this moment. ReadRule.fetched takes the ticket. */
  atomic {
    isGood = BYTES(at);
    used = (MEDIUM(at) == 0 -> incarnation : 0);
#ifdef EARLY_CHECK
    checkNeed[me] = (checkIsUnderWay -> 1 : 2)
#else
    checkNeed[me] = 2
#endif
  }
#endif

  /* ReadRule.afterCheck */
check:
  atomic {
    if
    :: checkNeed[me] == 0 ->
       if
       :: isOvertaken[me] || !IS_INSTALLED(at, used) -> isUnderWay[me] = false; goto plan
#ifdef CHECK_BEFORE
       :: !isOvertaken[me] && matched && known[MEDIUM(at)] != 0 -> goto fetch
#else
       :: !isOvertaken[me] && IS_INSTALLED(at, used) && matched && known[MEDIUM(at)] != 0 ->
          goto take
#endif
       :: else -> answerNeed[me] = 2; goto ask
       fi
    :: checkNeed[me] != 0 && !checkIsUnderWay ->
       checkIsUnderWay = true; BEGIN(checkNeed);
       if :: foundNeed == 2 -> foundNeed = 1 :: else fi
    fi
  }
  goto look;

  /* ReadRule.afterAnswer */
ask:
  atomic {
    if
#if OUTAGES         /* ReadRule.failInOutage, expired: with an error, which is no wrong byte */
    :: isSilent && me != READERS ->
       answerNeed[me] = 0; isUnderWay[me] = false; isOvertaken[me] = false;
       isGood = false; at = 0;
       goto plan
#endif
    :: answerNeed[me] == 0 ->
       if
       :: !hasAnswer && isUnderWay[me] -> checkNeed[me] = 2; goto check
       :: !isUnderWay[me] -> goto plan
#ifdef BEHIND_ACCEPTED
       :: hasAnswer && isUnderWay[me] && !isOvertaken[me] -> goto take
#else
       :: hasAnswer && isUnderWay[me] && !isOvertaken[me] && (inStep & BIT(MEDIUM(at))) &&
          IS_INSTALLED(at, used) && IS_INSTALLED(at, inStepOn) ->
          goto take
#endif
       :: else -> isUnderWay[me] = false; goto plan
       fi
    :: answerNeed[me] != 0 && question == NOBODY_ASKS && foundNeed == 0 ->
       question = ASKED; BEGIN(answerNeed);
       asFound[0] = found[0]; asFound[1] = found[1]; askedOn = foundOn;
       asksForPlace = wanted; wanted = false
    :: answerNeed[me] != 0 && question == NOBODY_ASKS && foundNeed != 0 && !checkIsUnderWay ->
       checkIsUnderWay = true; BEGIN(checkNeed); foundNeed = 1;
       goto look
    fi
  }

  /* ReadRule.answered, apply */
  atomic {
    question == REPLIED;
    question = NOBODY_ASKS;
    FINISH(answerNeed);
    hasAnswer = !failed; isSilent = (OUTAGES && failed);
    if
    :: failed
    :: else ->
       if
       :: changed ->
          placeIsUnknown = true;
#ifndef NOT_OVERTAKEN
          do
          :: r < ASKERS -> if :: isUnderWay[r] -> isOvertaken[r] = true :: else fi; r++
          :: else -> break
          od;
          r = 0
#endif
       :: else
       fi;
       if
       :: asksForPlace -> placeIsUnknown = false; knownPlace = answerPlace
       :: else
       fi;
       known[0] = answerID; known[1] = (hasMedium1 -> answerID : 0);
       foundNeed = 2; inStep = answerInStep; inStepOn = askedOn; medium1IsBehind = !(answerInStep & 2);
       matched = false
    fi;
#ifdef UNCONFIRMED
    /* A read of a mapping that just came is taken under the ID that came with it. */
    if
    :: !failed && !isUnderWay[me] && !IS_LOST(knownPlace) && !placeIsUnknown ->
       at = knownPlace; goto unchecked
    :: else
    fi;
#endif
    /* Forgotten, so that states that do not differ are one. */
    changed = false; failed = false; hasMedium1 = false; asksForPlace = false;
    answerPlace = 0; answerID = 0; answerInStep = 0; lookedAt = 0;
    asFound[0] = 0; asFound[1] = 0; askedOn = 0;
    goto ask
  }
#ifdef UNCONFIRMED
unchecked:
  isGood = BYTES(at);
  goto take;
#endif

  /* A round of checks: every medium's witness, one after the other. */
look:
  atomic { seen0 = (isStranger -> 0 : witness[0]); seenOn = incarnation }
  seen1 = witness[1];
  atomic {
    checkIsUnderWay = false;
    FINISH(checkNeed);
    if :: foundNeed == 1 -> foundNeed = 0 :: else fi;
    found[0] = seen0; found[1] = seen1; foundOn = seenOn;
#ifdef ONE_MEDIUM
    matched = (known[1] != 0 -> seen1 == known[1] : seen0 == known[0]);
#else
    matched = (seen0 == known[0] && (known[1] == 0 || seen1 == known[1]) &&
               seenOn == incarnation);
#endif
    if :: matched -> medium1IsBehind = false :: else fi;
    seen0 = 0; seen1 = 0; seenOn = 0;
    if
    :: answerNeed[me] != 0 -> goto ask
    :: else -> goto check
    fi
  }

#if OUTAGES         /* ReadRule.nextProbe: a question like any other, for nobody's bytes */
probe:
  atomic {
#ifdef NO_PROBE
    false;
#endif
    isSilent && answerNeed[me] == 0 -> answerNeed[me] = 2; goto ask
  }
#endif

take:
  atomic {
    assert(isGood);         /* no accepted stale read */
    isUnderWay[me] = false; isOvertaken[me] = false; isGood = false; at = 0; used = 0
  }
  /* Or through the production host, or with an error: it is not stuck. */
through:
#ifdef LIVENESS
  isThrough = (me == 0);
  isThrough = false;
#endif
  goto plan
}

/* A reader that takes no lock while it reads (Epoch, BlockingReader.readQuickly): it takes
 * the known state as of one moment, and makes a check of its own. floe also compares whether
 * the epoch has ended meanwhile; here the reader does without, and the bytes are right all
 * the same. */
#if QUICK
proctype QuickReader() {
  byte at, id0, id1, installed, used, seen0, seen1, seenOn;
  bool isGood;
begin:
  atomic {
    !placeIsUnknown && known[1] != 0 && !medium1IsBehind ->
    at = knownPlace; id0 = known[0]; id1 = known[1]; installed = incarnation
  }
#ifdef QUICK_EARLY_CHECK
  atomic { seen0 = (isStranger -> 0 : witness[0]); seenOn = incarnation }
  seen1 = witness[1];
  atomic { isGood = BYTES(at); used = incarnation }
#else
  atomic { isGood = BYTES(at); used = incarnation }
  atomic { seen0 = (isStranger -> 0 : witness[0]); seenOn = incarnation }
  seen1 = witness[1];
#endif
  atomic {
    if
    ::
#ifndef QUICK_NO_INCARNATIONS
       used == installed && seenOn == installed &&
#endif
#ifndef QUICK_ONE_MEDIUM
       seen0 == id0 &&
#endif
       seen1 == id1 -> assert(isGood)
    :: else
    fi;
    at = 0; id0 = 0; id1 = 0; installed = 0; used = 0; seen0 = 0; seen1 = 0; seenOn = 0;
    isGood = false;
    goto begin
  }
}
#endif

init {
  byte r;
  atomic {
    good[0] = true;
#if QUICK
    run QuickReader();
#endif
    do
    :: r < ASKERS -> run Reader(r); r++
    :: else -> break
    od
  }
}

#ifdef LIVENESS
/* By symmetry for every reader: reader 0 gets through again and again. Moves, losses
 * and crashes are finite, so that the mover pauses for ever at some time. */
ltl gets_through { []<> isThrough }
#endif
