// A box that scrolls sideways is reached with the keys. Browsers differ in whether they see
// to that by themselves; a stop at every box would be in the way where nothing is hidden.
"use strict";
const reach = () => {
  for (const box of document.querySelectorAll("pre, .table-wrapper")) {
    if (box.scrollWidth > box.clientWidth) {
      box.tabIndex = 0;
    } else {
      box.removeAttribute("tabindex");
    }
  }
};
addEventListener("load", reach);
addEventListener("resize", reach);
