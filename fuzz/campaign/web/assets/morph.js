"use strict";

// morph makes a part of the page look like another one, and touches only what differs: the
// focus, the selection and what is scrolled stay. Elements are recognised by their ids;
// those with data-keep are left to scripts.
function morph(old, fresh) {
	if (old.nodeType !== fresh.nodeType || old.nodeName !== fresh.nodeName) {
		old.replaceWith(document.adoptNode(fresh));
		return;
	}
	if (old.nodeType !== Node.ELEMENT_NODE) {
		if (old.nodeValue !== fresh.nodeValue) old.nodeValue = fresh.nodeValue;
		return;
	}
	if (old.hasAttribute("data-keep") && old.id === fresh.id) return;
	const before = old.hasAttribute("data-changes") ? old.textContent : null;
	morphAttributes(old, fresh);
	morphChildren(old, fresh);
	if (before !== null && before !== old.textContent) flash(old);
}

function morphAttributes(old, fresh) {
	for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
	for (const { name, value } of [...old.attributes]) {
		const ours = name === "open" || (name === "class" && value === "changed");
		if (!ours && !fresh.hasAttribute(name)) old.removeAttribute(name);
	}
}

function morphChildren(old, fresh) {
	const byId = new Map();
	for (const child of old.children) if (child.id) byId.set(child.id, child);
	let at = old.firstChild;
	for (const wanted of [...fresh.childNodes]) {
		const same = wanted.id ? byId.get(wanted.id) : null;
		if (same) {
			if (same !== at) old.insertBefore(same, at);
			else at = at.nextSibling;
			morph(same, wanted);
		} else if (at && !at.id && !wanted.id && at.nodeName === wanted.nodeName) {
			const next = at.nextSibling;
			morph(at, wanted);
			at = next;
		} else {
			old.insertBefore(document.adoptNode(wanted), at);
		}
	}
	while (at) {
		const next = at.nextSibling;
		at.remove();
		at = next;
	}
}

// flash shows that a number has changed.
function flash(element) {
	element.classList.remove("changed");
	void element.offsetWidth; // begins the animation again
	element.classList.add("changed");
}
