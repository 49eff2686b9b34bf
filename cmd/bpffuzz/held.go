package main

import "fmt"

// maxHeld is how many lines are held back at most, the last ones.
const maxHeld = 1000

// heldLines are lines that wait until the terminal can have them.
type heldLines struct {
	lines []string
	left  int // out, because there were too many
}

func (h *heldLines) add(text string) {
	if len(h.lines) == maxHeld {
		h.lines = append(h.lines[:0], h.lines[1:]...)
		h.left++
	}
	h.lines = append(h.lines, text)
}

// hold keeps what is said back until it is released: something else has the terminal,
// which leave has it give back.
func (u *ui) hold(leave func()) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.leave = leave
	if u.held == nil {
		u.held = &heldLines{}
	}
}

// reclaim has what has the terminal give it back, if anything has.
func (u *ui) reclaim() {
	u.mu.Lock()
	leave := u.leave
	u.mu.Unlock()
	if leave != nil {
		leave()
	}
}

// release says what was held back.
func (u *ui) release() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.leave = nil
	if u.held == nil {
		return
	}
	if n := u.held.left; n > 0 {
		u.write(fmt.Sprintf("%s before the following ones are left out", count(n, "line")))
	}
	for _, text := range u.held.lines {
		u.write(text)
	}
	u.held = nil
}
