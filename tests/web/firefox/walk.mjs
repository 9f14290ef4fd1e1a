/** A walk through the page in Firefox: sign in, generate, see the image. Prints what was seen, as JSON. */

import puppeteer from "puppeteer-core";

const [firefox, url] = process.argv.slice(2);

const browser = await puppeteer.launch({ browser: "firefox", executablePath: firefox, headless: true });
const faults = [];
const page = await browser.newPage();
try {
  page.setDefaultTimeout(20_000);
  page.on("console", (message) => message.type() === "error" && faults.push(message.text()));
  page.on("pageerror", (error) => faults.push(String(error)));
  page.on("response", (response) => response.status() >= 400 && faults.push(`${response.status()} ${response.url()}`));
  await page.goto(`${url}/ui/`);
  await page.locator("form input[type=password]").fill(process.env.PIPELET_API_KEY);
  await page.locator("form button.primary").click();
  await page.locator("main textarea").fill("a red apple on a light blue background");
  for (const label of ["Width", "Height"]) {
    await page.locator(`::-p-xpath(//input[@id = //label[. = "${label}"]/@for])`).fill("64");
  }
  await page.locator("form button.primary").click();
  const image = await page.waitForSelector("main img[alt='a red apple on a light blue background']");
  await page.waitForFunction((found) => found.complete && found.naturalWidth > 0, {}, image);
  const width = await image.evaluate((found) => found.naturalWidth);
  console.log(JSON.stringify({ faults, width, address: page.url() }));
} catch (error) {
  const shown = await page.evaluate(() => document.body.innerText);
  throw new Error(`${error}\n${page.url()}\n${shown}\n${faults.join("\n")}`);
} finally {
  await browser.close();
}
