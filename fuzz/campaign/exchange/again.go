package exchange

import (
	"encoding/hex"
	"strconv"
	"strings"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// Servers refuse a second message of a subject, whatever the first one is. So that a corrupt
// message does not keep out the entry whose subject it took, whoever has that entry
// announces it under another subject: the hash with the number of the try.

// tries bounds how many subjects an entry may be announced under, so that somebody who
// spoils them all ends no one's day.
const tries = 4

// name returns the last word of an entry's subject.
func (h hash) name(try int) string {
	if try == 0 {
		return h.String()
	}
	return h.String() + "-" + strconv.Itoa(try)
}

// parseName reads a last word as name writes it.
func parseName(word string) (h hash, try int, ok bool) {
	digits, suffix, again := strings.Cut(word, "-")
	b, err := hex.DecodeString(digits)
	if err != nil || len(b) != len(h) {
		return h, 0, false
	}
	h = hash(b)
	if again {
		try, err = strconv.Atoi(suffix)
	}
	return h, try, err == nil && try >= 0 && try < tries && h.name(try) == word
}

// enqueue has an entry announced, under the first subject that nobody spoiled. The lane is
// locked.
func (l *Lane) enqueue(h hash, encoded []byte) {
	if subject, ok := l.subject(h); ok {
		l.queue = append(l.queue, message{subject, encoded})
		return
	}
	l.counts.Unshared++
}

// subject returns where an entry is announced.
func (l *Lane) subject(h hash) (subject string, ok bool) {
	try := l.node.places.spoiled(l.topic, h)
	return corpusSubject + l.topic + "." + h.name(try), try < tries
}

// spoil notes that a message is not what its subject says, and announces the entry that is
// if this machine has it. The lane is locked.
func (l *Lane) spoil(subject string) {
	h, try, ok := parseName(lastWord(subject))
	if !ok || !l.node.places.spoil(l.topic, h, try+1) {
		return
	}
	if in := l.known[h]; in != nil {
		l.enqueue(h, corpus.Encode(in))
		l.wakeUp()
	}
}
