"use strict";
// Saves the form as a file, from memory: nothing is sent anywhere.
document.getElementById("save").addEventListener("click", () => {
  const form = document.querySelector("form");
  const lines = [...form.querySelectorAll("textarea")].map(
    (area) => `- **${area.name}**: ${area.value.trim().replace(/\n+/g, "\n  ") || "…"}`
  );
  const text = `### ${form.dataset.heading}\n\n${lines.join("\n")}\n`;
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/markdown" }));
  link.download = form.dataset.file;
  link.click();
  URL.revokeObjectURL(link.href);
});
