// Asks through OpenAI's JavaScript library. Prints one JSON object.
// Arguments: the base URL, the collection, the question; the key in OPENAI_API_KEY.
import OpenAI from 'openai';

const [baseURL, collection, question] = process.argv.slice(2);
const client = new OpenAI({baseURL, maxRetries: 0});
const messages = [{role: 'user', content: question}];
const model = 'braid/' + collection;

const stream = await client.chat.completions.create({model, messages, stream: true});
let text = '';
let deltas = 0;
const quotes = [];
let finish = null;
for await (const chunk of stream) {
  const choice = chunk.choices[0];
  if (choice?.delta?.content) {
    text += choice.delta.content;
    deltas += 1;
  }
  for (const citation of chunk.braid?.citations ?? []) quotes.push(citation.quote);
  finish = choice?.finish_reason ?? finish;
}
const whole = await client.chat.completions.create({model, messages});
const embedded = await client.embeddings.create({model: 'any', input: ['one', 'two']});
const models = [];
for await (const one of client.models.list()) models.push(one.id);
console.log(JSON.stringify({
  text, deltas, quotes, finish,
  whole: whole.choices[0].message.content,
  annotations: whole.choices[0].message.annotations,
  dimensions: embedded.data.map((one) => one.embedding.length),
  models,
}));
